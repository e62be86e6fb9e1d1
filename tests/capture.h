/* What is written to a FILE, as a string.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_CAPTURE_H
#define GRADUS_CAPTURE_H

#include "teach/teach.h"

#include <stdio.h>
#include <stdlib.h>

static inline char *contents(FILE *f)
{
    long n = ftell(f);
    char *s = calloc((size_t)n + 1, 1);
    rewind(f);
    if (s && fread(s, 1, (size_t)n, f) != (size_t)n) s[0] = '\0';
    fclose(f);
    return s;
}

static inline char *rendered(const gr_trace *t, void (*render)(const gr_trace *, FILE *))
{
    FILE *f = tmpfile();
    render(t, f);
    return contents(f);
}

#endif
