/* Judges files of histories. Several files are one history (each client's own), so their processes must differ. */
#include <getopt.h>
#include <stdlib.h>

#include "tests/check/check.h"

static const char usage[] =
    "usage: check [--serializable] [--states N] FILE...\n"
    "\n"
    "Judges a history of concurrent clients, JSON lines as tests/check/history.h describes; several files are one "
    "history.\n"
    "  --serializable   transactions need not follow the order in real time\n"
    "  --states N       give up on a register after N states (8388608)\n"
    "Exit status: 0 nothing wrong, 1 anomalies, 2 not readable or wrong usage, 3 unknown: a checker gave up.\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"serializable", no_argument, NULL, 's'},
        {"states", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct check_options o = {0};
    struct error err = {0};
    struct hist h;
    CLEANUP_BUF struct buf out = BUF_INIT;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 's') {
            o.serializable_only = true;
        } else if (c == 'n' && atoi(optarg) > 0) {
            o.states_max = (unsigned)atoi(optarg);
        } else {
            fputs(usage, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (optind == argc) {
        fputs(usage, stderr);
        return 2;
    }
    hist_init(&h);
    for (int i = optind; i < argc; i++) {
        if (hist_read_file(&h, argv[i], &err) != 0) {
            fprintf(stderr, "check: %s\n", err.message);
            hist_close(&h);
            return 2;
        }
    }
    enum verdict v = check_all(&h, &o, &out);
    if (h.count == 0) {
        buf_puts(&out, "nothing to judge: the history is empty\n");
        v = VERDICT_UNKNOWN;
    }
    fputs(buf_cstr(&out), stdout);
    hist_close(&h);
    return v == VERDICT_VALID ? 0 : v == VERDICT_INVALID ? 1 : 3;
}
