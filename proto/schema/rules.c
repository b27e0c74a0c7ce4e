/* Small rules that the kinds share. Each reports what it finds; none needs to be asked. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/schema/table.h"

static void check_named(struct errlist *l, const struct value *parent, const struct value *v, const struct fpath *p,
                        bool (*good)(struct str), const char *why)
{
    if (value_to_str(v).n == 0) {
        bad_required(l, v != NULL ? v : parent, p);
    } else if (!good(value_to_str(v))) {
        bad_value(l, v, p, why);
    }
}

void check_dns_label(struct errlist *l, const struct value *parent, const struct value *v, const struct fpath *p)
{
    check_named(l, parent, v, p, name_is_dns_label, NAME_LABEL_WHY);
}

void check_dns_subdomain(struct errlist *l, const struct value *parent, const struct value *v, const struct fpath *p)
{
    check_named(l, parent, v, p, name_is_dns_subdomain, NAME_SUBDOMAIN_WHY);
}

/* Keys that are missing are the table's to report. */
void check_label_key(struct errlist *l, const struct value *parent, const struct value *v, const struct fpath *p)
{
    (void)parent;
    if (value_to_str(v).n > 0 && !name_is_label_key(value_to_str(v))) {
        bad_value(l, v, p, NAME_LABEL_KEY_WHY);
    }
}

void check_labels(struct errlist *l, const struct value *labels, const struct fpath *p)
{
    for (unsigned i = 0; i < value_count(labels); i++) {
        const struct value_member *m = &labels->map.members[i];
        if (!name_is_label_key(m->key)) {
            struct value *key = value_str(l->arena, m->key);
            key->line = m->line;
            key->column = m->column;
            bad_value(l, key, p, NAME_LABEL_KEY_WHY);
        }
        if (!name_is_label_value(value_to_str(m->value))) {
            bad_value(l, m->value, p, NAME_LABEL_VALUE_WHY);
        }
    }
}

#define LABEL_KEY_MAX        (253u + 1u + 63u)
#define ANNOTATIONS_SIZE_MAX (256u << 10) /* all keys and values, as in Kubernetes */

bool name_is_annotation_key(struct str key)
{
    char lower[LABEL_KEY_MAX];
    if (key.n > sizeof lower) {
        return false;
    }
    for (size_t i = 0; i < key.n; i++) {
        lower[i] = (char)(key.p[i] >= 'A' && key.p[i] <= 'Z' ? key.p[i] + ('a' - 'A') : key.p[i]);
    }
    return name_is_label_key((struct str){lower, key.n});
}

void check_annotations(struct errlist *l, const struct value *annotations, const struct fpath *p)
{
    size_t size = 0;
    for (unsigned i = 0; i < value_count(annotations); i++) {
        const struct value_member *m = &annotations->map.members[i];
        size += m->key.n + value_to_str(m->value).n;
        if (!name_is_annotation_key(m->key)) {
            struct value *key = value_str(l->arena, m->key);
            key->line = m->line;
            key->column = m->column;
            bad_value(l, key, p, NAME_LABEL_KEY_WHY);
        }
    }
    if (size > ANNOTATIONS_SIZE_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_LONG, annotations, fpath_text(l->arena, p),
                    "Too long: may not be more than %u bytes, has %zu", ANNOTATIONS_SIZE_MAX, size);
    }
}

void check_finalizer(struct errlist *l, const struct value *v, const struct fpath *p)
{
    struct str s = value_to_str(v);
    if (!name_is_label_key(s)) {
        bad_value(l, v, p, NAME_LABEL_KEY_WHY);
    } else if (memchr(s.p, '/', s.n) == NULL && !in_choices(s, "kubernetes|orphan|foregroundDeletion")) {
        bad_value(l, v, p,
                  "must have a prefix (such as example.com/name), or be kubernetes, orphan or foregroundDeletion");
    }
}

void check_label_selector(struct errlist *l, const struct value *sel, const struct fpath *p)
{
    check_labels(l, value_get(sel, "matchLabels"), FPATH_AT(p, "matchLabels"));
    const struct value *list = value_get(sel, "matchExpressions");
    VALUE_FOR(i, list)
    {
        const struct value *e = value_item(list, i), *values = value_get(e, "values");
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "matchExpressions"), i);
        struct str op = value_to_str(value_get(e, "operator"));
        check_label_key(l, e, value_get(e, "key"), FPATH_AT(at, "key"));
        if (in_choices(op, "In|NotIn") && value_count(values) == 0) {
            errlist_add(l, ERROR_CAUSE_REQUIRED, e, fpath_text(l->arena, FPATH_AT(at, "values")),
                        "Required value: must be specified when `operator` is 'In' or 'NotIn'");
        } else if (in_choices(op, "Exists|DoesNotExist") && value_count(values) > 0) {
            bad_forbidden(l, values, FPATH_AT(at, "values"),
                          "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        VALUE_FOR(j, values)
        {
            if (!name_is_label_value(value_to_str(value_item(values, j)))) {
                bad_value(l, value_item(values, j), FPATH_ITEM(FPATH_AT(at, "values"), j), NAME_LABEL_VALUE_WHY);
            }
        }
    }
}

void check_at_least(struct errlist *l, const struct value *v, const struct fpath *p, int64_t min)
{
    if (v != NULL && value_to_int(v, min) < min) {
        bad_value(l, v, p, arena_printf(l->arena, "must be greater than or equal to %lld", (long long)min));
    }
}

void check_range(struct errlist *l, const struct value *v, const struct fpath *p, int64_t min, int64_t max)
{
    int64_t n = value_to_int(v, min);
    if (v != NULL && (n < min || n > max)) {
        bad_value(l, v, p,
                  arena_printf(l->arena, "must be between %lld and %lld, inclusive", (long long)min, (long long)max));
    }
}

void check_immutable(struct errlist *l, const struct value *v, const struct value *old, const struct fpath *p)
{
    if (v != old && (v == NULL || old == NULL || !value_equal(v, old))) {
        bad_value(l, v, p, "field is immutable");
    }
}

void check_optional_name(struct errlist *l, const struct value *parent, const char *name, const struct fpath *p)
{
    const struct value *v = value_get(parent, name);
    if (value_to_str(v).n > 0) {
        check_dns_subdomain(l, parent, v, FPATH_AT(p, name));
    }
}

static bool only_of(struct str s, bool digits, const char *others)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(digits && c >= '0' && c <= '9') && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    return s.n > 0;
}

bool name_is_config_key(struct str s)
{
    return s.n <= 253 && only_of(s, true, "-_.") && !str_is(s, ".") && !str_starts(s, STR(".."));
}

/* Lower case letters, digits and single hyphens inside; at least one letter. */
bool name_is_port(struct str s)
{
    bool letter = false;
    if (s.n == 0 || s.n > 15 || s.p[0] == '-' || s.p[s.n - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        letter = letter || (c >= 'a' && c <= 'z');
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && s.p[i - 1] != '-'))) {
            return false;
        }
    }
    return letter;
}

bool name_is_env(struct str s)
{
    return only_of(s, true, "-_.") && !(s.p[0] >= '0' && s.p[0] <= '9') && !str_is(s, ".") && !str_starts(s, STR(".."));
}

static bool parse_ip(struct str s, int *bits)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    if (s.n == 0 || s.n >= sizeof(text)) {
        return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *bits = 32;
    if (strlen(text) == s.n && inet_pton(AF_INET, text, &addr) == 1) {
        return true;
    }
    *bits = 128;
    return strlen(text) == s.n && inet_pton(AF_INET6, text, &addr) == 1;
}

bool name_is_ip(struct str s)
{
    int bits;
    return parse_ip(s, &bits);
}

bool name_is_ipv6(struct str s)
{
    return s.n > 0 && memchr(s.p, ':', s.n) != NULL;
}

bool name_is_cidr(struct str s)
{
    const char *slash = s.n == 0 ? NULL : memchr(s.p, '/', s.n);
    int bits, prefix = 0;
    if (slash == NULL || !parse_ip((struct str){s.p, (size_t)(slash - s.p)}, &bits)) {
        return false;
    }
    size_t digits = s.n - (size_t)(slash - s.p) - 1;
    for (size_t i = 0; i < digits; i++) {
        if (slash[1 + i] < '0' || slash[1 + i] > '9') {
            return false;
        }
        prefix = prefix * 10 + (slash[1 + i] - '0');
    }
    return digits > 0 && digits <= 3 && prefix <= bits;
}
