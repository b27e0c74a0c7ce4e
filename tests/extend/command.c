/* A command of one file and one line: client/cmd/greet.c. */
#include "client/cmd/rctl.h"

static int run_greet(struct rctl *r)
{
    fputs("hello\n", r->out);
    return EXIT_DONE;
}

const struct command command_greet = {
    .name = "greet", .usage = "", .summary = "Say hello", .examples = "  rctl greet\n", .run = run_greet};
