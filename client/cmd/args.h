/* Command lines: options by table, words in between, everything after "--" as it stands.
 *
 * Understood: --name value, --name=value, -n value, -nvalue, -n=value, bundled flags (-ti), flags with a value
 * (--wait=false), options whose value may be left out (--dry-run, --dry-run=server). Options and words may be mixed.
 * Pure: prints nothing, reads no environment. */
#ifndef CLIENT_CMD_ARGS_H
#define CLIENT_CMD_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

enum option_type {
    OPTION_FLAG,   /* --x, --x=true, --x=false */
    OPTION_VALUE,  /* --x V; the last one counts */
    OPTION_REPEAT, /* --x V, any number of times */
    OPTION_MAYBE,  /* --x means --x=<implied>; a value only with "=" */
    OPTION_LEVEL,  /* the same, but a number of one or two digits behind it is its value as well: -v 6 */
};
struct option_row {
    const char *name;
    char letter; /* 0 = none */
    enum option_type type;
    const char *fallback; /* value when not given; NULL = none. For flags "true" or NULL */
    const char *implied;  /* OPTION_MAYBE */
    const char *what;     /* "FILE", for the help */
    const char *help;
};
#define OPTIONS_MAX 64u
#define ARGS_MAX    4096u

struct args_value {
    const struct option_row *row;
    const char *value;
};
struct args {
    const char **words; /* positional; those after "--" included */
    unsigned words_count;
    unsigned dash; /* index of the first word after "--"; words_count if there was none */
    bool has_dash;
    struct args_value *values;
    unsigned values_count;
};

/* Two tables are looked through (a command's own first, then the global one); either may be empty. Strings are borrowed
 * from argv; arrays lie in the arena. ERR_USAGE names the option and the nearest one that exists. */
struct option_table {
    const struct option_row *rows;
    unsigned count;
};
int args_parse(struct arena *a, const struct option_table tables[2], int argc, const char *const *argv,
               struct args *out, struct error *err);

/* By name. get: last value, or the row's fallback; NULL if neither. flag: true if given as true (or by fallback). */
const char *args_get(const struct args *a, const struct option_table tables[2], const char *name);
bool args_flag(const struct args *a, const struct option_table tables[2], const char *name);
bool args_given(const struct args *a, const char *name);
/* The i-th value of a repeated option; NULL behind the last. */
const char *args_at(const struct args *a, const char *name, unsigned i);
unsigned args_count(const struct args *a, const char *name);

/* Decimal integer within [min, max]; ERR_USAGE names the option. */
int args_int(const char *option, const char *text, int64_t min, int64_t max, int64_t *out, struct error *err);
/* "30s", "5m", "1h30m", "500ms", "2d", or bare seconds, to milliseconds. */
int args_duration_ms(const char *option, const char *text, int64_t *out, struct error *err);

#endif
