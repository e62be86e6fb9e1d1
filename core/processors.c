/* How many processors the process may use at once: those that it may be run on, or fewer where its control groups (of a container,
 * as a rule) have a quota of processor time. With more threads than that the system stops all of them for the rest of a period,
 * 0.1 s, when they have used it up.
 * Linux: sched_getaffinity(2); Documentation/admin-guide/cgroup-v2.rst, cpu.max; Documentation/scheduler/sched-bwc.rst for version 1.
 * SPDX-License-Identifier: MIT */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#else
#define _POSIX_C_SOURCE 200809L
#endif
#include "core/tensor.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST = 4096 };

/* What stands in a small file, cut off where it is too long; "" if it cannot be read. By system calls: nothing is allocated. */
static void read_small(const char *path, char *text, size_t size)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? 0 : read(file, text, size - 1);
    if (file >= 0) close(file);
    text[n > 0 ? n : 0] = '\0';
}

/* Quota and period from one file of a group, or from two. */
static double quota_of(const char *group, bool unified)
{
    char path[LONGEST + 32], text[64];
    double quota = -1, period = -1;
    snprintf(path, sizeof path, "%s/%s", group, unified ? "cpu.max" : "cpu.cfs_quota_us");
    read_small(path, text, sizeof text);
    const int found = sscanf(text, "%lf %lf", &quota, &period);
    if (found == 1 && !unified) {
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", group);
        read_small(path, text, sizeof text);
        if (sscanf(text, "%lf", &period) != 1) return -1;
    }
    return quota > 0 && period > 0 ? quota / period : -1; /* version 2 has "max", version 1 has -1 for none */
}

/* The least of a group and of those that it is part of. A container may see its own group as the topmost one while its path is the
 * one outside: what does not exist has no quota. */
static double least_quota(const char *top, const char *path, bool unified, double most)
{
    char group[LONGEST];
    if ((size_t)snprintf(group, sizeof group, "%s%s", top, path) >= sizeof group) return most;
    for (;;) {
        const double quota = quota_of(group, unified);
        if (quota > 0 && quota < most) most = quota;
        char *last = strrchr(group, '/');
        if (!last || last < group + strlen(top)) return most;
        *last = '\0';
    }
}

/* Is cpu one of the names between these commas? */
static bool has_cpu(const char *names)
{
    for (const char *at = names; (at = strstr(at, "cpu")); at += 3)
        if ((at == names || at[-1] == ',') && (at[3] == ',' || at[3] == '\0')) return true;
    return false;
}

int gr__processors_within(const char *root, int most)
{
    char path[LONGEST], text[LONGEST], *rest = NULL;
    double quota = most;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    read_small(path, text, sizeof text);
    /* lines "number:names of controllers:path"; version 2 has one line, without names */
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0', names++;
        if (*names && !has_cpu(names)) continue;
        if ((size_t)snprintf(path, sizeof path, "%s/sys/fs/cgroup%s", root, *names ? "/cpu" : "") < sizeof path)
            quota = least_quota(path, strcmp(group, "/") == 0 ? "" : group, !*names, quota);
    }
    return quota < 1 ? 1 : (int)quota;
}

int gr__processors(void)
{
#ifdef __linux__
    cpu_set_t set;
    const long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return gr__processors_within("", n < 1 ? 1 : n > GR_MAX_THREADS ? GR_MAX_THREADS : (int)n);
#else
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > GR_MAX_THREADS ? GR_MAX_THREADS : (int)n;
#endif
}
