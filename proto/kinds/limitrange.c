/* LimitRange: what pods and claims of a namespace get where they say nothing, and what they may ask for. Source:
 * Kubernetes core/v1 LimitRange. It is carried out where pods are let in (raft-store/store/bounds.h). */
#include "proto/facts/quota.h"
#include "proto/kinds/quota.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(limit_item, "LimitRangeItem", "What holds for all containers, all pods or all claims.",
    STRING("type", "Container, Pod or PersistentVolumeClaim.", REQUIRED),
    QUANTITY_MAP("max", "The most that one may ask for, by resource."),
    QUANTITY_MAP("min", "The least."),
    QUANTITY_MAP("default", "Limits of containers that have none; without it max."),
    QUANTITY_MAP("defaultRequest", "Requests of containers that have none; without it default, or min."),
    QUANTITY_MAP("maxLimitRequestRatio", "A limit may be so many times the request."));

SCHEMA_STATIC(limit_spec, "LimitRangeSpec", "What holds for whom.",
    OBJECTS("limits", limit_item, "One item for each type.", REQUIRED));

SCHEMA_STATIC(limits, "LimitRange",
    "What containers, pods and claims of a namespace get where they say nothing, and what they may ask for.",
    TYPE_META,
    OBJECT("spec", limit_spec, "What holds for whom.", REQUIRED));
/* clang-format on */

/* ---- Defaults ---- */

static void fill_from(struct arena *a, struct value *item, const char *name, const char *from)
{
    const struct value *source = value_get(item, from);
    for (unsigned i = 0; i < value_count(source); i++) {
        const struct value_member *m = &source->map.members[i];
        struct value *map = value_ensure_map(a, item, name);
        if (value_is_map(map) && value_get_str_key(map, m->key) == NULL) {
            value_set_str_key(a, map, m->key, value_copy(a, m->value));
        }
    }
}

/* "The limit of a container without one is the most that it may have; its request is its default limit, or the
 * least." */
static void limits_fill_defaults(struct arena *a, struct value *obj)
{
    const struct value *items = value_path(obj, "spec.limits");
    VALUE_FOR(i, items)
    {
        struct value *item = value_item(items, i);
        if (value_is_map(item) && str_is(value_path_str(item, "type"), "Container")) {
            fill_from(a, item, "default", "max");
            fill_from(a, item, "defaultRequest", "default");
            fill_from(a, item, "defaultRequest", "min");
        }
    }
}

/* ---- Rules ---- */

static const char *const AMOUNTS[] = {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"};

static struct str amount(const struct value *item, const char *which, struct str name)
{
    return value_to_str(value_get_str_key(value_get(item, which), name));
}

/* Both are there, and the first is more. */
static bool above(struct str a, struct str b)
{
    return a.n > 0 && b.n > 0 && quantity_cmp(a, b) > 0;
}

static void check_order(const struct value *item, struct str name, const struct fpath *p, struct errlist *l)
{
    static const struct {
        const char *less, *more;
        const char *less_word, *more_word;
        const char *at;
    } rows[] = {
        {"min", "max", "min", "max", "min"},
        {"min", "defaultRequest", "min", "default request", "defaultRequest"},
        {"defaultRequest", "max", "default request", "max", "defaultRequest"},
        {"defaultRequest", "default", "default request", "default limit", "defaultRequest"},
        {"min", "default", "min", "default", "default"},
        {"default", "max", "default", "max", "default"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str less = amount(item, rows[i].less, name), more = amount(item, rows[i].more, name);
        if (above(less, more)) {
            bad_value(l, value_get_str_key(value_get(item, rows[i].at), name), FPATH_KEY(FPATH_AT(p, rows[i].at), name),
                      arena_printf(l->arena, "%s value %.*s is greater than %s value %.*s", rows[i].less_word,
                                   STR_ARG(less), rows[i].more_word, STR_ARG(more)));
        }
    }
}

static void check_ratio(const struct value *item, struct str name, const struct fpath *p, struct errlist *l)
{
    const struct value *v = value_get_str_key(value_get(item, "maxLimitRequestRatio"), name);
    struct str ratio = value_to_str(v), least = amount(item, "min", name), most = amount(item, "max", name);
    const struct fpath *at = FPATH_KEY(FPATH_AT(p, "maxLimitRequestRatio"), name);
    if (ratio.n == 0) {
        return;
    }
    if (quantity_cmp(ratio, STR("1")) < 0) {
        bad_value(l, v, at, arena_printf(l->arena, "ratio %.*s is less than 1", STR_ARG(ratio)));
    } else if (least.n > 0 && most.n > 0 && quota_amount_of(least) > 0 &&
               quota_amount_of(ratio) * quota_amount_of(least) > quota_amount_of(most) * 1000) {
        bad_value(l, v, at,
                  arena_printf(l->arena, "ratio %.*s is greater than max/min, %.*s/%.*s", STR_ARG(ratio), STR_ARG(most),
                               STR_ARG(least)));
    }
}

/* Each name once, wherever it stands first. */
static void check_names(const struct value *item, const struct fpath *p, struct errlist *l)
{
    for (unsigned i = 0; i < ARRAY_SIZE(AMOUNTS); i++) {
        const struct value *list = value_get(item, AMOUNTS[i]);
        for (unsigned k = 0; k < value_count(list) && l->count < ERRLIST_MAX; k++) {
            struct str name = list->map.members[k].key;
            bool seen = false;
            for (unsigned n = 0; n < i; n++) {
                seen = seen || amount(item, AMOUNTS[n], name).n > 0;
            }
            if (!seen) {
                check_order(item, name, p, l);
                check_ratio(item, name, p, l);
            }
        }
    }
}

static void check_item(const struct value *item, const struct fpath *p, struct errlist *l)
{
    struct str type = value_path_str(item, "type");
    bool claims = str_is(type, "PersistentVolumeClaim"), compute = in_choices(type, "Pod|Container");
    if (type.n > 0 && !compute && !claims && memchr(type.p, '/', type.n) == NULL) {
        bad_value(l, value_get(item, "type"), FPATH_AT(p, "type"),
                  "must be Container, Pod or PersistentVolumeClaim, or have a prefix");
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(AMOUNTS); i++) {
        const struct value *list = value_get(item, AMOUNTS[i]);
        const struct fpath *at = FPATH_AT(p, AMOUNTS[i]);
        if (str_is(type, "Pod") && list != NULL && str_starts(str_of(AMOUNTS[i]), STR("default"))) {
            bad_forbidden(l, list, at, "may not be specified when `type` is 'Pod'");
        } else if (compute && i < 4) {
            check_container_resources(l, list, at);
        } else {
            check_resource_list(l, list, at);
        }
    }
    if (claims && amount(item, "min", STR("storage")).n == 0 && amount(item, "max", STR("storage")).n == 0) {
        bad_missing(l, item, p, "either minimum or maximum storage value is required, but neither was provided");
    }
    check_names(item, p, l);
}

static void limits_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *items = value_path(obj, "spec.limits");
    const struct fpath *p = FPATH_AT(FPATH("spec"), "limits");
    (void)old;
    VALUE_FOR(i, items)
    {
        const struct value *item = value_item(items, i), *type = value_get(item, "type");
        if (value_to_str(type).n > 0 && value_find(items, "type", value_to_str(type)) != item) {
            bad_duplicate(l, type, FPATH_AT(FPATH_ITEM(p, i), "type"));
        }
        check_item(item, FPATH_ITEM(p, i), l);
    }
}

/* ---- Columns ---- */

static void cell_created(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_path(object_mp(o), "metadata.creationTimestamp"));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "CREATED AT", .cell = cell_created},
};

const struct kind kind_limitrange = {
    .id = KIND_LIMITRANGE,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "LimitRange",
    .api_version = "v1",
    .plural = "limitranges",
    .singular = "limitrange",
    .short_names = "limits",
    .namespaced = true,
    .schema = &limits,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = limits_validate,
    .fill = limits_fill_defaults,
    .describe = limits_describe,
    .put_makes = true,
};
