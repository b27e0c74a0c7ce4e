#include "client/cmd/args.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/schema/kind.h"

static const struct option_row *find_name(const struct option_table tables[2], const char *name, size_t n)
{
    for (unsigned t = 0; t < 2; t++) {
        for (unsigned i = 0; i < tables[t].count; i++) {
            const struct option_row *row = &tables[t].rows[i];
            if (strlen(row->name) == n && memcmp(row->name, name, n) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

static const struct option_row *find_letter(const struct option_table tables[2], char letter)
{
    for (unsigned t = 0; t < 2; t++) {
        for (unsigned i = 0; i < tables[t].count; i++) {
            if (tables[t].rows[i].letter == letter) {
                return &tables[t].rows[i];
            }
        }
    }
    return NULL;
}

static int unknown_option(const struct option_table tables[2], const char *given, size_t n, struct error *err)
{
    const struct option_row *best = NULL;
    unsigned best_distance = 4;
    for (unsigned t = 0; t < 2; t++) {
        for (unsigned i = 0; i < tables[t].count; i++) {
            unsigned d = name_nearness((struct str){given, n}, str_of(tables[t].rows[i].name));
            if (d < best_distance) {
                best_distance = d;
                best = &tables[t].rows[i];
            }
        }
    }
    if (best != NULL) {
        return error_set(err, ERR_USAGE, "unknown option --%.*s; did you mean --%s?", (int)n, given, best->name);
    }
    return error_set(err, ERR_USAGE, "unknown option --%.*s", (int)n, given);
}

/* State of one walk over argv. */
struct walk {
    struct args *out;
    const struct option_table *tables;
    int argc, at;
    const char *const *argv;
};

static void add_value(struct walk *w, const struct option_row *row, const char *value)
{
    w->out->values[w->out->values_count++] = (struct args_value){row, value};
}

static int check_flag(const char *name, const char *value, struct error *err)
{
    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0) {
        return 0;
    }
    return error_set(err, ERR_USAGE, "--%s is true or false, not \"%s\"", name, value);
}

static bool is_level(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n >= 1 && n <= 2 && s[n] == '\0';
}

/* value: what follows "=", or NULL. */
static int take_option(struct walk *w, const struct option_row *row, const char *value, struct error *err)
{
    switch (row->type) {
    case OPTION_FLAG:
        if (value != NULL && check_flag(row->name, value, err) != 0) {
            return ERR_USAGE;
        }
        add_value(w, row, value == NULL ? "true" : value);
        return 0;
    case OPTION_LEVEL:
        if (value == NULL && w->at + 1 < w->argc && is_level(w->argv[w->at + 1])) {
            value = w->argv[++w->at];
        }
        /* fall through */
    case OPTION_MAYBE:
        add_value(w, row, value == NULL ? row->implied : value);
        return 0;
    case OPTION_VALUE:
    case OPTION_REPEAT:
        break;
    }
    if (value == NULL) {
        if (w->at + 1 >= w->argc) {
            return error_set(err, ERR_USAGE, "--%s needs a value: --%s %s", row->name, row->name,
                             row->what == NULL ? "VALUE" : row->what);
        }
        value = w->argv[++w->at];
    }
    add_value(w, row, value);
    return 0;
}

static int take_long(struct walk *w, const char *text, struct error *err)
{
    const char *eq = strchr(text, '=');
    size_t n = eq == NULL ? strlen(text) : (size_t)(eq - text);
    const struct option_row *row = find_name(w->tables, text, n);
    if (row == NULL) {
        return unknown_option(w->tables, text, n, err);
    }
    return take_option(w, row, eq == NULL ? NULL : eq + 1, err);
}

static int take_letters(struct walk *w, const char *text, struct error *err)
{
    for (const char *p = text; *p != '\0'; p++) {
        const struct option_row *row = find_letter(w->tables, *p);
        if (row == NULL) {
            return error_set(err, ERR_USAGE, "unknown option -%c", *p);
        }
        bool plain = row->type == OPTION_FLAG || row->type == OPTION_MAYBE || row->type == OPTION_LEVEL;
        if (row->type == OPTION_LEVEL && is_level(p + 1)) { /* -v6 */
            return take_option(w, row, p + 1, err);
        }
        if (p[1] == '=') {
            return take_option(w, row, p + 2, err);
        }
        if (!plain) {
            return take_option(w, row, p[1] == '\0' ? NULL : p + 1, err);
        }
        int rc = take_option(w, row, NULL, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int args_parse(struct arena *a, const struct option_table tables[2], int argc, const char *const *argv,
               struct args *out, struct error *err)
{
    assert(argc >= 0);
    if ((unsigned)argc > ARGS_MAX) {
        return error_set(err, ERR_USAGE, "more than %u words on the command line", ARGS_MAX);
    }
    *out = (struct args){0};
    out->words = arena_alloc(a, ((size_t)argc + 1) * sizeof(*out->words));
    size_t values_max = 1;
    for (int i = 0; i < argc; i++) {
        values_max += strlen(argv[i]) + 1; /* bundled letters: at most one value a byte */
    }
    out->values = arena_alloc(a, values_max * sizeof(*out->values));
    struct walk w = {.out = out, .tables = tables, .argc = argc, .argv = argv};
    for (w.at = 0; w.at < argc; w.at++) {
        const char *word = argv[w.at];
        int rc = 0;
        if (out->has_dash || word[0] != '-' || word[1] == '\0') {
            out->words[out->words_count++] = word;
        } else if (strcmp(word, "--") == 0) {
            out->has_dash = true;
            out->dash = out->words_count;
        } else if (word[1] == '-') {
            rc = take_long(&w, word + 2, err);
        } else {
            rc = take_letters(&w, word + 1, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (!out->has_dash) {
        out->dash = out->words_count;
    }
    return 0;
}

const char *args_get(const struct args *a, const struct option_table tables[2], const char *name)
{
    for (unsigned i = a->values_count; i > 0; i--) {
        if (strcmp(a->values[i - 1].row->name, name) == 0) {
            return a->values[i - 1].value;
        }
    }
    const struct option_row *row = find_name(tables, name, strlen(name));
    return row == NULL ? NULL : row->fallback;
}

bool args_flag(const struct args *a, const struct option_table tables[2], const char *name)
{
    const char *v = args_get(a, tables, name);
    return v != NULL && strcmp(v, "true") == 0;
}

bool args_given(const struct args *a, const char *name)
{
    return args_count(a, name) > 0;
}

const char *args_at(const struct args *a, const char *name, unsigned i)
{
    for (unsigned k = 0; k < a->values_count; k++) {
        if (strcmp(a->values[k].row->name, name) == 0 && i-- == 0) {
            return a->values[k].value;
        }
    }
    return NULL;
}

unsigned args_count(const struct args *a, const char *name)
{
    unsigned n = 0;
    for (unsigned k = 0; k < a->values_count; k++) {
        n += strcmp(a->values[k].row->name, name) == 0;
    }
    return n;
}

int args_int(const char *option, const char *text, int64_t min, int64_t max, int64_t *out, struct error *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || isspace((unsigned char)text[0])) {
        return error_set(err, ERR_USAGE, "--%s is a whole number, not \"%s\"", option, text);
    }
    if (v < min || v > max) {
        return error_set(err, ERR_USAGE, "--%s=%lld is out of range: %lld to %lld", option, v, (long long)min,
                         (long long)max);
    }
    *out = v;
    return 0;
}

/* Milliseconds of a unit at *p, which is moved behind it; 0 if there is none. */
static int64_t duration_unit(const char **p)
{
    static const struct {
        const char *text;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (unsigned i = 0; i < ARRAY_SIZE(units); i++) {
        size_t n = strlen(units[i].text);
        if (strncmp(*p, units[i].text, n) == 0) {
            *p += n;
            return units[i].ms;
        }
    }
    return 0;
}

int args_duration_ms(const char *option, const char *text, int64_t *out, struct error *err)
{
    const char *p = text;
    int64_t total = 0;
    bool any = false;
    while (*p != '\0') {
        char *end;
        errno = 0;
        double v = strtod(p, &end);
        if (errno != 0 || end == p || !(v >= 0 && v < 1e9) || isspace((unsigned char)*p)) {
            break;
        }
        p = end;
        int64_t unit = *p == '\0' && !any ? 1000 : duration_unit(&p);
        if (unit == 0) {
            any = false;
            break;
        }
        total += (int64_t)(v * (double)unit);
        any = true;
    }
    if (!any || *p != '\0') {
        return error_set(err, ERR_USAGE, "--%s is a duration such as 30s, 5m or 1h, not \"%s\"", option, text);
    }
    *out = total;
    return 0;
}
