/* The progress line: what it says, how often, and that it is silent where nobody looks.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* mkstemp */
#include "io/bytes.h"
#include "tests/test.h"

#include <unistd.h>

static const char *line(gr_progress p, double now)
{
    static char text[320];
    int n = gr__progress_line(text, sizeof text, &p, now);
    CHECK(n == (int)strlen(text));
    return text;
}

TEST(progress_shows_bar_rate_and_time_left)
{
    CHECK_STR(line((gr_progress){ .label = "epoch 1", .total = 938, .done = 450, .note = "loss 0.41" }, 0.375),
              "epoch 1  [=========>          ]  450/938  48%  1.2k/s  0:00 left  loss 0.41");
    CHECK_STR(line((gr_progress){ .label = "a", .total = 10, .done = 0 }, 0), "a  [>                   ]  0/10  0%  0.0/s  0:00 left");
    CHECK_STR(line((gr_progress){ .label = "a", .total = 10, .done = 10 }, 100), "a  [====================]  10/10  100%  0.1/s  1:40");
    CHECK_STR(line((gr_progress){ .label = "a", .total = 100000, .done = 1 }, 1), "a  [>                   ]  1/100000  0%  1.0/s  27:46:39 left");
    CHECK_STR(line((gr_progress){ .label = "a", .total = 10, .done = 12 }, 1), "a  [====================]  12/10  100%  12/s  0:01");
    CHECK_STR(line((gr_progress){ .label = "a", .total = 10, .done = -3 }, 1), "a  [>                   ]  -3/10  0%  -3.0/s  0:00 left");
}

TEST(progress_without_a_total_counts)
{
    CHECK_STR(line((gr_progress){ .label = "rows", .done = 34000000 }, 1), "rows  34000000  34M/s  0:01");
    CHECK_STR(line((gr_progress){ .label = "rows", .done = INT64_MAX, .note = "n" }, 1e-3), "rows  9223372036854775807  10000G/s  0:00  n");
    CHECK_STR(line((gr_progress){ .label = "rows", .done = 1 }, 1e30), "rows  1  0.0/s  277777:46:40");
}

/* What a thousand quick updates print to stderr. */
static const char *printed(bool on)
{
    static char text[4096];
    char path[] = "/tmp/gradus_progress_XXXXXX";
    int f = mkstemp(path);
    CHECK(f >= 0 && freopen(path, "w", stderr));
    close(f);
    gr_progress p = gr_progress_begin(NULL, -5);
    CHECK(!p.on && p.total == 0 && !*p.label); /* a file is no terminal */
    p.on = on;
    for (int i = 0; i < 1000; i++) gr_progress_update(&p, i, i == 0 ? "a long note" : NULL);
    CHECK(p.done == 999);
    gr_progress_end(&p);
    gr_progress_end(&p);
    CHECK(!p.on);
    gr_progress_update(NULL, 1, NULL);
    gr_progress_end(NULL);
    FILE *in = fopen(path, "rb");
    size_t n = in ? fread(text, 1, sizeof text - 1, in) : 0;
    if (in) fclose(in);
    remove(path);
    text[n] = '\0';
    return text;
}

TEST(progress_is_silent_without_a_terminal) { CHECK_STR(printed(false), ""); }

TEST(progress_is_shown_at_most_ten_times_a_second)
{
    const char *text = printed(true), *last = strrchr(text, '\r');
    int lines = 0;
    for (const char *p = text; *p; p++) lines += *p == '\r';
    CHECK(lines >= 2 && lines <= 20); /* a slow machine may need a second */
    CHECK(strncmp(text, "\r  0  ", 6) == 0 && strstr(text, "  a long note") != NULL);
    CHECK(last && strncmp(last, "\r  999  ", 8) == 0 && text[strlen(text) - 1] == '\n');
}
