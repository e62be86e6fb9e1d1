/* A line on the terminal that says how far long work has come.
 * Knows nothing of the work but two numbers; silent when stderr is no terminal.
 * SPDX-License-Identifier: MIT */
#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>
#endif

#include "io/bytes.h"

#include <time.h>

#define BAR 20

static bool terminal(void)
{
#if defined(__unix__) || defined(__APPLE__)
    return isatty(2) == 1;
#else
    return false;
#endif
}

static double seconds(void)
{
    struct timespec t = { 0 };
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

gr_progress gr_progress_begin(const char *label, int64_t total)
{
    return (gr_progress){ .label = label ? label : "", .total = total > 0 ? total : 0, .started = seconds(), .on = terminal() };
}

/* 950/s, 1.2k/s, 34M/s */
static void rate(char out[16], double r)
{
    const char *unit = "";
    if (r >= 1e9) r /= 1e9, unit = "G";
    else if (r >= 1e6) r /= 1e6, unit = "M";
    else if (r >= 1e3) r /= 1e3, unit = "k";
    snprintf(out, 16, r < 10 ? "%.1f%s/s" : "%.0f%s/s", r < 1e4 ? r : 1e4, unit);
}

/* 0:07, 12:34, 3:25:45 */
static void clock_text(char out[32], double s)
{
    const long long n = s < 0 ? 0 : s < 1e9 ? (long long)(s + 0.5) : 1000000000;
    if (n < 3600) snprintf(out, 32, "%lld:%02lld", n / 60, n % 60);
    else snprintf(out, 32, "%lld:%02lld:%02lld", n / 3600, n / 60 % 60, n % 60);
}

int gr__progress_line(char *out, size_t size, const gr_progress *p, double now)
{
    char speed[16], left[32], bar[BAR + 1];
    const double took = now - p->started, per_second = took > 0 ? (double)p->done / took : 0;
    const char *note = p->note, *gap = *note ? "  " : "";
    rate(speed, per_second);
    if (!p->total) {
        clock_text(left, took);
        return snprintf(out, size, "%.40s  %lld  %s  %s%s%s", p->label, (long long)p->done, speed, left, gap, note);
    }
    double part = (double)p->done / (double)p->total;
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    clock_text(left, p->done >= p->total ? took : per_second > 0 ? (double)(p->total - p->done) / per_second : 0);
    const int full = (int)(part * BAR);
    for (int i = 0; i < BAR; i++) bar[i] = i < full ? '=' : i == full ? '>' : ' ';
    bar[BAR] = '\0';
    return snprintf(out, size, "%.40s  [%s]  %lld/%lld  %.0f%%  %s  %s%s%s%s", p->label, bar, (long long)p->done,
                    (long long)p->total, 100 * part, speed, left, p->done >= p->total ? "" : " left", gap, note);
}

static void show(gr_progress *p, double now, const char *end)
{
    char line[320];
    int n = gr__progress_line(line, sizeof line, p, now);
    fprintf(stderr, "\r%s%*s%s", line, p->width > n ? p->width - n : 0, "", end); /* blanks over a longer line before */
    fflush(stderr);
    p->width = n;
    p->shown = now;
}

void gr_progress_update(gr_progress *p, int64_t done, const char *note)
{
    if (!p) return;
    p->done = done;
    snprintf(p->note, sizeof p->note, "%s", note ? note : "");
    if (!p->on) return;
    double now = seconds();
    if (now - p->shown >= 0.1 || now < p->shown) show(p, now, "");
}

void gr_progress_end(gr_progress *p)
{
    if (!p || !p->on) return;
    show(p, seconds(), "\n");
    p->on = false;
}
