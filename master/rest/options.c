#include "master/rest/options.h"

#include <strings.h>

#include "proto/http/http.h"
#include "proto/text/text.h"

#define MANAGER_MAX 128u

/* ---- Values ---- */

/* As Kubernetes reads them: whatever is not "false" or "0" is true. */
static bool is_true(struct str s)
{
    return !str_is(s, "0") && !http_is_word(s, "false");
}

static int read_number(struct str s, const char *name, int64_t *out, struct error *err)
{
    if (!str_to_int64(s, out)) {
        return error_set(err, ERR_USAGE, "%s must be a number, not \"%.*s\"", name, (int)MIN(s.n, (size_t)64),
                         s.n == 0 ? "" : s.p);
    }
    return 0;
}

static int invalid(struct error *err, const char *field, const char *why)
{
    error_set_field(err, ERR_INVALID, field, "%s: %s", field, why);
    error_add_cause(err, ERROR_CAUSE_INVALID, str_of(field), str_of(why));
    return ERR_INVALID;
}

static int forbidden(struct error *err, const char *field, const char *why)
{
    error_set_field(err, ERR_INVALID, field, "%s: Forbidden: %s", field, why);
    error_add_cause(err, ERROR_CAUSE_FORBIDDEN, str_of(field), str_of(why));
    return ERR_INVALID;
}

static int unsupported(struct error *err, const char *field, struct str value, const char *known)
{
    error_set_field(err, ERR_INVALID, field, "%s: Unsupported value: \"%.*s\": supported values: %s", field,
                    (int)MIN(value.n, (size_t)64), value.n == 0 ? "" : value.p, known);
    error_add_cause(err, ERROR_CAUSE_NOT_SUPPORTED, str_of(field), STR("Unsupported value"));
    return ERR_INVALID;
}

/* ---- Options by name ---- */

struct reader {
    struct arena *arena;
    struct rest_options *o;
    struct error *err;
};
typedef int read_fn(struct reader *r, struct str value);

static int read_labels(struct reader *r, struct str v)
{
    r->o->labels = v;
    return 0;
}
static int read_fields(struct reader *r, struct str v)
{
    r->o->fields = v;
    return 0;
}
static int read_continue(struct reader *r, struct str v)
{
    r->o->token = v;
    return 0;
}
static int read_limit(struct reader *r, struct str v)
{
    int rv = v.n == 0 ? 0 : read_number(v, "limit", &r->o->limit, r->err);
    return rv != 0 || r->o->limit >= 0 ? rv : error_set(r->err, ERR_USAGE, "limit must not be negative");
}
static int read_version(struct reader *r, struct str v)
{
    int64_t n;
    if (v.n == 0) {
        return 0;
    }
    if (!str_to_int64(v, &n) || n < 0) {
        error_set_field(r->err, ERR_INVALID, "resourceVersion", "resourceVersion: Invalid value: \"%.*s\"",
                        (int)MIN(v.n, (size_t)64), v.p);
        error_add_cause(r->err, ERROR_CAUSE_INVALID, STR("resourceVersion"), STR("Invalid value"));
        return ERR_INVALID;
    }
    r->o->has_version = true;
    r->o->version = (uint64_t)n;
    return 0;
}
static int read_match(struct reader *r, struct str v)
{
    r->o->match = str_is(v, "Exact")          ? REST_MATCH_EXACT
                  : str_is(v, "NotOlderThan") ? REST_MATCH_NOT_OLDER
                                              : REST_MATCH_NONE;
    return v.n == 0 || r->o->match != REST_MATCH_NONE
               ? 0
               : unsupported(r->err, "resourceVersionMatch", v, "\"Exact\", \"NotOlderThan\"");
}
static int read_watch(struct reader *r, struct str v)
{
    r->o->watch = is_true(v);
    return 0;
}
static int read_bookmarks(struct reader *r, struct str v)
{
    r->o->bookmarks = is_true(v);
    return 0;
}
static int read_initial(struct reader *r, struct str v)
{
    r->o->has_initial = true;
    r->o->initial = is_true(v);
    return 0;
}
static int read_timeout(struct reader *r, struct str v)
{
    int rv = v.n == 0 ? 0 : read_number(v, "timeoutSeconds", &r->o->timeout_s, r->err);
    return rv != 0 || r->o->timeout_s >= 0 ? rv : error_set(r->err, ERR_USAGE, "timeoutSeconds must not be negative");
}
static int read_include(struct reader *r, struct str v)
{
    r->o->include = str_is(v, "None")     ? REST_INCLUDE_NONE
                    : str_is(v, "Object") ? REST_INCLUDE_OBJECT
                                          : REST_INCLUDE_METADATA;
    return v.n == 0 || r->o->include != REST_INCLUDE_METADATA || str_is(v, "Metadata")
               ? 0
               : error_set(r->err, ERR_USAGE, "includeObject must be None, Metadata or Object");
}
static int read_dry_run(struct reader *r, struct str v)
{
    r->o->dry_run = str_is(v, "All");
    return v.n == 0 || r->o->dry_run ? 0 : unsupported(r->err, "dryRun", v, "\"All\"");
}
static int read_force(struct reader *r, struct str v)
{
    r->o->has_force = true;
    r->o->force = is_true(v);
    return 0;
}
static int read_manager(struct reader *r, struct str v)
{
    for (size_t i = 0; i < v.n; i++) {
        if ((unsigned char)v.p[i] < ' ' || (unsigned char)v.p[i] == 0x7f) {
            return invalid(r->err, "fieldManager", "Invalid value: must be printable");
        }
    }
    if (!utf8_valid(v)) {
        return invalid(r->err, "fieldManager", "Invalid value: must be printable");
    }
    if (v.n > MANAGER_MAX) {
        error_set_field(r->err, ERR_INVALID, "fieldManager", "fieldManager: Too long: may not be more than 128 bytes");
        error_add_cause(r->err, ERROR_CAUSE_TOO_LONG, STR("fieldManager"),
                        STR("Too long: may not be more than 128 bytes"));
        return ERR_INVALID;
    }
    r->o->manager = v;
    r->o->has_manager = v.n > 0;
    return 0;
}
static int read_validation(struct reader *r, struct str v)
{
    static const char *const words[] = {"Ignore", "Warn", "Strict"};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_is(v, words[i])) {
            r->o->validation = (enum rest_validation)i;
            return 0;
        }
    }
    return v.n == 0 ? 0 : unsupported(r->err, "fieldValidation", v, "\"Ignore\", \"Warn\", \"Strict\"");
}
static int read_policy(struct reader *r, struct str v)
{
    int p = deletion_policy_parse(v);
    if (p < 0) {
        return unsupported(r->err, "propagationPolicy", v, "\"Foreground\", \"Background\", \"Orphan\"");
    }
    r->o->deletion.policy = (enum deletion_policy)p;
    return 0;
}
static int read_grace(struct reader *r, struct str v)
{
    int rv = read_number(v, "gracePeriodSeconds", &r->o->deletion.grace_s, r->err);
    return rv != 0 || r->o->deletion.grace_s >= 0
               ? rv
               : invalid(r->err, "gracePeriodSeconds", "Invalid value: must be greater than or equal to 0");
}
static int set_orphan(struct reader *r, bool orphan)
{
    if (r->o->deletion.policy != DELETION_DEFAULT) {
        return invalid(r->err, "propagationPolicy",
                       "Invalid value: orphanDependents and deletionPropagation cannot be both set");
    }
    r->o->deletion.policy = orphan ? DELETION_ORPHAN : DELETION_BACKGROUND;
    r->o->orphan_told = !orphan;
    return 0;
}
static int read_orphan(struct reader *r, struct str v)
{
    return set_orphan(r, is_true(v));
}
static int read_container(struct reader *r, struct str v)
{
    r->o->container = v;
    return 0;
}
static int read_follow(struct reader *r, struct str v)
{
    r->o->follow = is_true(v);
    return 0;
}
static int read_previous(struct reader *r, struct str v)
{
    r->o->previous = is_true(v);
    return 0;
}
static int read_timestamps(struct reader *r, struct str v)
{
    r->o->timestamps = is_true(v);
    return 0;
}
static int read_since(struct reader *r, struct str v)
{
    return read_number(v, "sinceSeconds", &r->o->since_s, r->err);
}
static int read_since_time(struct reader *r, struct str v)
{
    r->o->since_time = v;
    return 0;
}
static int read_tail(struct reader *r, struct str v)
{
    return read_number(v, "tailLines", &r->o->tail, r->err);
}
static int read_bytes(struct reader *r, struct str v)
{
    return read_number(v, "limitBytes", &r->o->bytes, r->err);
}
static int read_pretty(struct reader *r, struct str v)
{
    r->o->has_pretty = v.n > 0;
    r->o->pretty = str_is_among(v, "1 t T true TRUE True");
    return 0;
}
static int read_verbose(struct reader *r, struct str v)
{
    (void)v;
    r->o->verbose = true;
    return 0;
}
static int read_exclude(struct reader *r, struct str v)
{
    const char *all = arena_printf(r->arena, "%.*s %.*s", STR_ARG(r->o->exclude), STR_ARG(v));
    r->o->exclude = str_of(all);
    return 0;
}

static const struct {
    const char *name;
    read_fn *read;
} rows[] = {
    {"labelSelector", read_labels},
    {"fieldSelector", read_fields},
    {"continue", read_continue},
    {"limit", read_limit},
    {"resourceVersion", read_version},
    {"resourceVersionMatch", read_match},
    {"watch", read_watch},
    {"allowWatchBookmarks", read_bookmarks},
    {"sendInitialEvents", read_initial},
    {"timeoutSeconds", read_timeout},
    {"includeObject", read_include},
    {"dryRun", read_dry_run},
    {"force", read_force},
    {"fieldManager", read_manager},
    {"fieldValidation", read_validation},
    {"propagationPolicy", read_policy},
    {"gracePeriodSeconds", read_grace},
    {"orphanDependents", read_orphan},
    {"container", read_container},
    {"follow", read_follow},
    {"previous", read_previous},
    {"timestamps", read_timestamps},
    {"sinceSeconds", read_since},
    {"sinceTime", read_since_time},
    {"tailLines", read_tail},
    {"limitBytes", read_bytes},
    {"pretty", read_pretty},
    {"verbose", read_verbose},
    {"exclude", read_exclude},
};

static bool take_text(struct arena *a, struct str encoded, struct str *out)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (!http_decode(&b, encoded, true)) {
        return false;
    }
    *out = (struct str){arena_strndup(a, b.size == 0 ? "" : (const char *)b.data, b.size), b.size};
    return true;
}

int rest_options_read(struct arena *a, struct str query, struct rest_options *o, struct error *err)
{
    struct reader r = {a, o, err};
    struct str key, value, name, text;
    *o = (struct rest_options){
        .since_s = -1, .tail = -1, .bytes = -1, .deletion.grace_s = -1, .validation = REST_VALIDATE_WARN};
    while (http_query_next(&query, &key, &value)) {
        if (!take_text(a, key, &name) || !take_text(a, value, &text)) {
            return error_set(err, ERR_USAGE, "the query is malformed: an escape must be %% and two hexadecimal digits");
        }
        for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
            int rv = str_is(name, rows[i].name) ? rows[i].read(&r, text) : 0;
            if (rv != 0) {
                return rv;
            }
        }
    }
    return 0;
}

/* ---- Lists and watches ---- */

static int check_watch(const struct rest_options *o, struct error *err)
{
    if (o->has_initial && o->match != REST_MATCH_NOT_OLDER) {
        return forbidden(err, "resourceVersionMatch",
                         "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if (!o->has_initial && o->match != REST_MATCH_NONE) {
        return forbidden(err, "resourceVersionMatch",
                         "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    if (o->initial && !o->bookmarks) {
        return forbidden(err, "sendInitialEvents", "allowWatchBookmarks must be set with sendInitialEvents");
    }
    return 0;
}

int rest_options_check_list(const struct rest_options *o, struct error *err)
{
    if (o->watch) {
        return check_watch(o, err);
    }
    if (o->has_initial) {
        return forbidden(err, "sendInitialEvents", "sendInitialEvents is forbidden for list");
    }
    if (o->match != REST_MATCH_NONE && !o->has_version) {
        return forbidden(err, "resourceVersionMatch",
                         "resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if (o->match != REST_MATCH_NONE && o->token.n > 0) {
        return forbidden(err, "resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
    }
    if (o->match == REST_MATCH_EXACT && o->version == 0) {
        return forbidden(err, "resourceVersionMatch",
                         "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"");
    }
    if (o->token.n > 0 && o->version > 0) {
        return error_set(err, ERR_USAGE, "specifying resource version is not allowed when using continue");
    }
    return 0;
}

/* ---- Deletions ---- */

/* A number, of a body that may have it as null. */
static int body_version(const struct value *v, uint64_t *out, struct error *err)
{
    int64_t n;
    if (value_is_null(v)) {
        return 0;
    }
    if (!value_is_str(v) || !str_to_int64(v->str, &n) || n < 0) {
        return error_set(err, ERR_USAGE, "preconditions.resourceVersion must be the text of a version");
    }
    *out = (uint64_t)n;
    return 0;
}

int rest_options_read_delete(struct arena *a, const struct value *doc, struct rest_options *o, struct error *err)
{
    struct reader r = {a, o, err};
    const struct value *policy = value_get(doc, "propagationPolicy"), *grace = value_get(doc, "gracePeriodSeconds"),
                       *orphan = value_get(doc, "orphanDependents"), *before = value_get(doc, "preconditions"),
                       *dry = value_get(doc, "dryRun");
    int rv = 0;
    if (value_is_str(policy)) {
        rv = read_policy(&r, policy->str);
    }
    if (rv == 0 && grace != NULL && grace->type == VALUE_INT) {
        o->deletion.grace_s = grace->integer;
        rv = grace->integer >= 0
                 ? 0
                 : invalid(err, "gracePeriodSeconds", "Invalid value: must be greater than or equal to 0");
    }
    if (rv == 0 && orphan != NULL && orphan->type == VALUE_BOOL) {
        rv = set_orphan(&r, orphan->boolean);
    }
    VALUE_FOR(i, dry)
    {
        rv = rv != 0 ? rv : read_dry_run(&r, value_to_str(value_item(dry, i)));
    }
    struct str uid = value_to_str(value_get(before, "uid"));
    if (uid.n > 0) {
        o->deletion.if_uid = uid;
    }
    return rv != 0 ? rv : body_version(value_get(before, "resourceVersion"), &o->deletion.if_revision, err);
}
