#include "proto/facts/limits.h"

#include "base/mem.h"
#include "proto/facts/quota.h"

static const char *const LISTS[] = {"containers", "initContainers"};

/* ---- Defaults ---- */

/* The names of the members that are new, "cpu, memory", in the order of names. What the pod says as a whole
 * (spec.resources) its containers are not given one by one: together they might ask for more. */
static void add_missing(struct arena *a, struct value *container, const char *which, const struct value *defaults,
                        const struct value *whole, struct buf *added)
{
    for (unsigned i = 0; i < value_count(defaults); i++) {
        const struct value_member *m = &defaults->map.members[i];
        if (value_get_str_key(value_get(whole, "requests"), m->key) != NULL ||
            value_get_str_key(value_get(whole, "limits"), m->key) != NULL) {
            continue;
        }
        struct value *resources = value_ensure_map(a, container, "resources");
        struct value *list = value_ensure_map(a, resources, which);
        if (value_get_str_key(list, m->key) == NULL) {
            value_set_str_key(a, list, m->key, value_copy(a, m->value));
            buf_printf(added, "%s%.*s", added->size > 0 ? ", " : "", STR_ARG(m->key));
        }
    }
}

static void fill_container(struct arena *a, struct value *container, bool init, const struct value *item,
                           const struct value *whole, struct buf *told)
{
    static const struct {
        const char *which, *defaults, *word;
    } rows[] = {{"requests", "defaultRequest", "request"}, {"limits", "default", "limit"}};
    struct str name = value_path_str(container, "name");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_BUF struct buf added = BUF_INIT;
        add_missing(a, container, rows[i].which, value_get(item, rows[i].defaults), whole, &added);
        if (added.size > 0) {
            buf_printf(told, "%s%s %s for %scontainer %.*s", told->size > 0 ? "; " : "", buf_cstr(&added), rows[i].word,
                       init ? "init " : "", STR_ARG(name));
        }
    }
}

bool limits_fill(struct arena *a, struct value *pod, const struct value *range)
{
    CLEANUP_BUF struct buf told = BUF_INIT;
    const struct value *items = value_path(range, "spec.limits");
    struct value *spec = value_get(pod, "spec");
    VALUE_FOR(i, items)
    {
        const struct value *item = value_item(items, i);
        if (!str_is(value_path_str(item, "type"), "Container")) {
            continue;
        }
        for (unsigned k = 0; k < ARRAY_SIZE(LISTS); k++) {
            const struct value *list = value_get(spec, LISTS[k]);
            VALUE_FOR(n, list)
            {
                if (value_is_map(value_item(list, n))) {
                    fill_container(a, value_item(list, n), k == 1, item, value_get(spec, "resources"), &told);
                }
            }
        }
    }
    if (told.size > 0) {
        struct value *annotations = value_ensure_map(a, value_get(pod, "metadata"), "annotations");
        value_set(a, annotations, LIMITS_ANNOTATION, value_strf(a, "LimitRanger plugin set: %s", buf_cstr(&told)));
    }
    return told.size > 0;
}

/* ---- Rules ---- */

struct findings {
    struct arena *a;
    struct buf *out;
    unsigned count;
};

static void find(struct findings *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void find(struct findings *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_puts(f->out, f->count++ > 0 ? ", " : "");
    buf_puts(f->out, arena_vprintf(f->a, fmt, ap));
    va_end(ap);
}

/* One amount of what is looked at: a container, a pod or a claim. */
struct amount {
    bool said;
    quota_amount n;
    const char *text;
};

struct subject {
    struct arena *a;
    const char *type;        /* "Container" */
    const struct value *one; /* its resources; NULL: of a pod */
    const struct value *pod; /* spec */
    bool without_limits;     /* a claim: only what it asks for */
};

static struct amount amount_in(struct arena *a, const struct value *resources, const char *which, struct str name)
{
    struct str s = value_to_str(value_get_str_key(value_get(resources, which), name));
    return s.n == 0 ? (struct amount){.text = "0"}
                    : (struct amount){true, quota_amount_of(s), arena_strndup(a, s.p, s.n)};
}

/* What a pod says as a whole, or what its containers have together; init containers run before them. None if one says
 * nothing. */
static struct amount amount_of_pod(const struct subject *s, const char *which, struct str name)
{
    struct amount whole = amount_in(s->a, value_get(s->pod, "resources"), which, name);
    if (whole.said) {
        return whole;
    }
    struct quota_resource r = {.name = name, .what = QUOTA_REQUESTS, .of = name};
    quota_amount sum = 0, most = 0;
    bool said = true;
    const struct value *init = value_get(s->pod, "initContainers"), *main = value_get(s->pod, "containers");
    VALUE_FOR(i, init)
    {
        const struct value *c = value_item(init, i);
        struct amount n = amount_in(s->a, value_get(c, "resources"), which, name);
        most = MAX(most, sum + n.n);
        sum += str_is(value_path_str(c, "restartPolicy"), "Always") ? n.n : 0;
    }
    VALUE_FOR(i, main)
    {
        struct amount n = amount_in(s->a, value_get(value_item(main, i), "resources"), which, name);
        said = said && n.said;
        sum += n.n;
    }
    char *text = arena_alloc(s->a, QUANTITY_SIZE);
    quota_amount_text(&r, MAX(sum, most), text);
    return (struct amount){said, MAX(sum, most), text};
}

static struct amount amount_of(const struct subject *s, const char *which, struct str name)
{
    if (s->without_limits && str_is(str_of(which), "limits")) {
        return (struct amount){.text = "0"};
    }
    return s->one == NULL ? amount_of_pod(s, which, name) : amount_in(s->a, s->one, which, name);
}

static void check_min(struct findings *f, const struct subject *s, struct str name, struct str bound)
{
    struct amount request = amount_of(s, "requests", name), limit = amount_of(s, "limits", name);
    quota_amount least = quota_amount_of(bound);
    const char *what = arena_printf(s->a, "minimum %.*s usage per %s is %.*s", STR_ARG(name), s->type, STR_ARG(bound));
    if (!request.said) {
        find(f, "%s.  No request is specified", what);
    } else if (request.n < least) {
        find(f, "%s, but request is %s", what, request.text);
    } else if (limit.said && limit.n < least) {
        find(f, "%s, but limit is %s", what, limit.text);
    }
}

static void check_max(struct findings *f, const struct subject *s, struct str name, struct str bound)
{
    struct amount request = amount_of(s, "requests", name), limit = amount_of(s, "limits", name);
    quota_amount most = quota_amount_of(bound);
    const char *what = arena_printf(s->a, "maximum %.*s usage per %s is %.*s", STR_ARG(name), s->type, STR_ARG(bound));
    if (s->without_limits && !request.said) {
        find(f, "%s.  No request is specified", what);
    } else if (!s->without_limits && !limit.said) {
        find(f, "%s.  No limit is specified", what);
    } else if (limit.said && limit.n > most) {
        find(f, "%s, but limit is %s", what, limit.text);
    } else if (request.said && request.n > most) {
        find(f, "%s, but request is %s", what, request.text);
    }
}

static void check_ratio(struct findings *f, const struct subject *s, struct str name, struct str bound)
{
    struct amount request = amount_of(s, "requests", name), limit = amount_of(s, "limits", name);
    const char *what =
        arena_printf(s->a, "%.*s max limit to request ratio per %s is %.*s", STR_ARG(name), s->type, STR_ARG(bound));
    if (!request.said || request.n == 0) {
        find(f, "%s, but no request is specified or request is 0", what);
    } else if (!limit.said || limit.n == 0) {
        find(f, "%s, but no limit is specified or limit is 0", what);
    } else if (request.n <=
               (limit.n * 1000 - 1) / MAX(1, quota_amount_of(bound))) { /* a product of both may overflow */
        quota_amount millionths = (limit.n * 1000000 + request.n / 2) / request.n;
        millionths = MIN(millionths, (quota_amount)INT64_MAX * 1000000);
        find(f, "%s, but provided ratio is %lld.%06lld", what, (long long)(millionths / 1000000),
             (long long)(millionths % 1000000));
    }
}

typedef void check_fn(struct findings *f, const struct subject *s, struct str name, struct str bound);

static void check_subject(struct findings *f, const struct subject *s, const struct value *item)
{
    static const struct {
        const char *name;
        check_fn *fn;
    } rules[] = {{"min", check_min}, {"max", check_max}, {"maxLimitRequestRatio", check_ratio}};
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
        const struct value *bounds = value_get(item, rules[i].name);
        for (unsigned k = 0; k < value_count(bounds); k++) {
            rules[i].fn(f, s, bounds->map.members[k].key, value_to_str(bounds->map.members[k].value));
        }
    }
}

static void check_pod(struct findings *f, struct arena *a, const struct value *spec, const struct value *item)
{
    struct str type = value_path_str(item, "type");
    if (str_is(type, "Pod")) {
        check_subject(f, &(struct subject){.a = a, .type = "Pod", .pod = spec}, item);
        return;
    }
    if (!str_is(type, "Container")) {
        return;
    }
    for (unsigned k = 0; k < ARRAY_SIZE(LISTS); k++) {
        const struct value *list = value_get(spec, LISTS[k]);
        VALUE_FOR(i, list)
        {
            const struct value *own = value_get(value_item(list, i), "resources");
            struct subject s = {.a = a, .type = "Container", .one = own != NULL ? own : value_map(a)};
            check_subject(f, &s, item);
        }
    }
}

void limits_check(struct buf *out, struct arena *a, const struct kind *k, const struct value *doc,
                  const struct value *range)
{
    CLEANUP_BUF struct buf list = BUF_INIT;
    struct findings f = {.a = a, .out = &list};
    const struct value *items = value_path(range, "spec.limits"), *spec = value_get(doc, "spec");
    VALUE_FOR(i, items)
    {
        const struct value *item = value_item(items, i), *own = value_get(spec, "resources");
        if (k->id == KIND_POD) {
            check_pod(&f, a, spec, item);
        } else if (str_is(value_path_str(item, "type"), "PersistentVolumeClaim")) {
            struct subject s = {.a = a,
                                .type = "PersistentVolumeClaim",
                                .one = own != NULL ? own : value_map(a),
                                .without_limits = true};
            check_subject(&f, &s, item);
        }
    }
    if (f.count > 1) {
        buf_printf(out, "[%s]", buf_cstr(&list));
    } else if (f.count == 1) {
        buf_puts(out, buf_cstr(&list));
    }
}
