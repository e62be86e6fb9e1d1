/* The `gradus` command.
 * SPDX-License-Identifier: MIT */
#include "teach/teach.h"

int main(int argc, char **argv) { return gr_command(argc, (const char *const *)argv, stdout, stderr); }
