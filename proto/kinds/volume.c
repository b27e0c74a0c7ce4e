/* Volumes of a pod: the table of their sources (volumes.h), and the rules of all of them. */
#include "proto/kinds/volumes.h"

#define VOLUME_FIELD(member, name, ...) OBJECT(#member, volume_schema_##name, __VA_ARGS__, INSIDE(2)),
#define VOLUME_PART(member, name, ...)  {#member, &volume_source_##name},
/* clang-format off */
SCHEMA(schema_volume, "Volume", "A directory (or device) that containers of the pod can mount; exactly one source.",
    STRING("name", "Name that volumeMounts refer to; unique in the pod.", REQUIRED),
    VOLUME_SOURCES(VOLUME_FIELD));
/* clang-format on */
static const struct volume_part all_sources[] = {VOLUME_SOURCES(VOLUME_PART)};
#undef VOLUME_FIELD
#undef VOLUME_PART

#define MODE_WHY "must be a number between 0 and 0777 (octal), both inclusive"

const struct volume_source *volume_source_find(struct str member)
{
    for (unsigned i = 0; i < ARRAY_SIZE(all_sources); i++) {
        if (str_is(member, all_sources[i].member)) {
            return all_sources[i].source;
        }
    }
    return NULL;
}

void volume_check_mode(const struct value *v, const struct fpath *p, struct errlist *l)
{
    if (v != NULL && (v->integer < 0 || v->integer > 0777)) {
        bad_value(l, v, p, MODE_WHY);
    }
}

static bool has_dot_dot(struct str path)
{
    for (size_t i = 0; i + 1 < path.n; i++) {
        bool starts = i == 0 || path.p[i - 1] == '/', ends = i + 2 == path.n || path.p[i + 2] == '/';
        if (starts && ends && path.p[i] == '.' && path.p[i + 1] == '.') {
            return true;
        }
    }
    return false;
}

void check_descending_path(struct errlist *l, const struct value *v, const struct fpath *p)
{
    struct str s = value_to_str(v);
    if (s.n > 0 && s.p[0] == '/') {
        bad_value(l, v, p, "must be a relative path");
    } else if (has_dot_dot(s)) {
        bad_value(l, v, p, "must not contain '..'");
    }
}

void check_relative_path(struct errlist *l, const struct value *v, const struct fpath *p)
{
    check_descending_path(l, v, p);
    if (str_starts(value_to_str(v), STR("..")) && !has_dot_dot(value_to_str(v))) {
        bad_value(l, v, p, "must not start with '..'");
    }
}

void check_no_dot_dot(const struct value *v, const struct fpath *p, struct errlist *l)
{
    if (has_dot_dot(value_to_str(v))) {
        bad_value(l, v, p, "must not contain '..'");
    }
}

void volume_check_one(const struct value *v, const struct volume_part *parts, unsigned count, bool required,
                      const struct volume_at *where, const struct fpath *p, const char *what, struct errlist *l)
{
    unsigned sources = 0;
    for (unsigned i = 0; i < value_count(v); i++) {
        const struct value_member *m = &v->map.members[i];
        if (str_is(m->key, "name")) {
            continue;
        }
        if (sources++ > 0) {
            bad_forbidden(l, m->value, FPATH_STR(p, m->key),
                          arena_printf(l->arena, "may not specify more than 1 %s", what));
        }
        for (unsigned j = 0; j < count; j++) {
            if (str_is(m->key, parts[j].member) && parts[j].source->check != NULL && value_is_map(m->value)) {
                parts[j].source->check(m->value, where, FPATH_STR(p, m->key), l);
            }
        }
    }
    if (sources == 0 && required) {
        bad_missing(l, v, p, arena_printf(l->arena, "must specify a %s", what));
    }
}

/* Claims made for the pod are called POD-VOLUME. */
static void check_claim_names(const struct value *volumes, struct str pod, const struct fpath *p, struct errlist *l)
{
    for (unsigned i = 0; pod.n > 0 && i < value_count(volumes); i++) {
        const struct value *v = value_item(volumes, i), *name = value_get(v, "name");
        const struct value *claim = value_at(v, "persistentVolumeClaim", "claimName", NULL);
        const struct fpath *at = FPATH_ITEM(p, i);
        struct str s = value_to_str(claim);
        if (value_get(v, "ephemeral") != NULL && value_to_str(name).n > 0) {
            const char *made = arena_printf(l->arena, "%.*s-%.*s", STR_ARG(pod), STR_ARG(value_to_str(name)));
            if (!name_is_dns_subdomain(str_of(made))) {
                bad_value(l, name, FPATH_AT(at, "name"),
                          arena_printf(l->arena, "the claim would be called \"%s\", which is no name", made));
            }
        }
        if (s.n <= pod.n + 1 || !str_starts(s, pod) || s.p[pod.n] != '-') {
            continue;
        }
        const struct value *other = value_find(volumes, "name", (struct str){s.p + pod.n + 1, s.n - pod.n - 1});
        if (value_get(other, "ephemeral") != NULL) {
            bad_value(l, claim, FPATH_AT(FPATH_AT(at, "persistentVolumeClaim"), "claimName"),
                      "must not be the claim that is made for an ephemeral volume");
        }
    }
}

void pod_volumes_check(const struct value *volumes, struct str pod_name, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, volumes)
    {
        const struct value *v = value_item(volumes, i), *name = value_get(v, "name");
        const struct fpath *at = FPATH_ITEM(p, i);
        if (value_to_str(name).n > 0) {
            check_dns_label(l, v, name, FPATH_AT(at, "name"));
            if (value_find(volumes, "name", value_to_str(name)) != v) {
                bad_duplicate(l, name, FPATH_AT(at, "name"));
            }
        }
        const struct volume_at where = {value_to_str(name), pod_name.n == 0};
        volume_check_one(v, all_sources, ARRAY_SIZE(all_sources), true, &where, at, "volume type", l);
    }
    check_claim_names(volumes, pod_name, p, l);
}
