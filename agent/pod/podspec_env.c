/* Environment and command line of a container: what can only be known when it is started. */
#include <stdlib.h>

#include "agent/pod/podspec.h"
#include "proto/model/quantity.h"

/* ---- $(VAR) ---- */

struct env_list {
    struct arena *arena;
    const char **items; /* "K=V" */
    unsigned count, cap;
};

static const char *env_find(const char *const *env, struct str name)
{
    const char *found = NULL;
    for (unsigned i = 0; env != NULL && env[i] != NULL; i++) {
        if (strncmp(env[i], name.p, name.n) == 0 && env[i][name.n] == '=') {
            found = env[i] + name.n + 1;
        }
    }
    return found;
}

/* Keeps the list NULL-terminated; a name that is there already gets the new value in its old place. */
static void env_set(struct env_list *l, struct str name, const char *value)
{
    const char *item = arena_printf(l->arena, "%.*s=%s", STR_ARG(name), value);
    for (unsigned i = 0; i < l->count; i++) {
        if (strncmp(l->items[i], item, name.n + 1) == 0) {
            l->items[i] = item;
            return;
        }
    }
    if (l->count + 1 >= l->cap) {
        unsigned cap = l->cap == 0 ? 16 : l->cap * 2;
        const char **items = arena_alloc(l->arena, cap * sizeof *items);
        if (l->count > 0) {
            memcpy(items, l->items, l->count * sizeof *items);
        }
        l->items = items;
        l->cap = cap;
    }
    l->items[l->count++] = item;
    l->items[l->count] = NULL;
}

/* missing: the first name that env does not have; NULL if nobody asks. */
static const char *expand(struct arena *a, const char *text, const char *const *env, struct str *missing)
{
    if (strchr(text, '$') == NULL) {
        return text;
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    for (const char *p = text; *p != '\0';) {
        const char *close = p[0] == '$' && p[1] == '(' ? strchr(p, ')') : NULL;
        if (p[0] == '$' && p[1] == '$') {
            buf_putc(&out, '$');
            p += 2;
        } else if (close != NULL) {
            struct str name = {p + 2, (size_t)(close - p - 2)};
            const char *value = env_find(env, name);
            if (value != NULL) {
                buf_puts(&out, value);
            } else {
                buf_append(&out, p, (size_t)(close - p + 1));
                if (missing != NULL && missing->p == NULL) {
                    *missing = name;
                }
            }
            p = close + 1;
        } else {
            buf_putc(&out, *p++);
        }
    }
    return arena_strndup(a, out.data == NULL ? "" : (const char *)out.data, out.size);
}

const char *podspec_expand(struct arena *a, const char *text, const char *const *env)
{
    return expand(a, text, env, NULL);
}

int podspec_expand_sub_path(struct arena *a, const char *text, const char *const *env, const char **out,
                            struct error *err)
{
    struct str missing = STR_NONE;
    *out = expand(a, text, env, &missing);
    return missing.p == NULL
               ? 0
               : error_set(err, ERR_INVALID, "subPathExpr \"%s\": missing value for \"%.*s\"", text, STR_ARG(missing));
}

static const char *const *expand_list(struct arena *a, const char *const *list, const char *const *env)
{
    unsigned n = 0;
    if (list == NULL) {
        return NULL;
    }
    while (list[n] != NULL) {
        n++;
    }
    const char **out = arena_alloc(a, (n + 1) * sizeof *out);
    for (unsigned i = 0; i < n; i++) {
        out[i] = podspec_expand(a, list[i], env);
    }
    return out;
}

/* ---- Fields of the pod and amounts of the container ---- */

/* Labels and annotations as a file: one line each, the value quoted. */
static const char *map_text(struct arena *a, struct mp map)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        struct str v = mp_str(it.value);
        buf_printf(&b, "%s%.*s=\"", b.size == 0 ? "" : "\n", STR_ARG(it.key));
        for (size_t i = 0; i < v.n; i++) {
            char c = v.p[i];
            if (c == '"' || c == '\\') {
                buf_printf(&b, "\\%c", c);
            } else if (c == '\n') {
                buf_puts(&b, "\\n");
            } else if (c == '\t') {
                buf_puts(&b, "\\t");
            } else {
                buf_putc(&b, c);
            }
        }
        buf_putc(&b, '"');
    }
    return arena_strndup(a, b.data == NULL ? "" : (const char *)b.data, b.size);
}

/* metadata.labels['KEY']: the value, "" if there is no such key. NULL if the path is not of this form. */
static const char *subscript(struct arena *a, struct mp metadata, struct str path, const char *member)
{
    struct str lead = str_of(arena_printf(a, "metadata.%s['", member));
    if (!str_starts(path, lead) || !str_ends(path, STR("']"))) {
        return NULL;
    }
    struct str key = {path.p + lead.n, path.n - lead.n - 2};
    struct str v = mp_str(mp_get_str_key(mp_get(metadata, member), key));
    return arena_strndup(a, v.p == NULL ? "" : v.p, v.n);
}

int podspec_field(const struct podspec *s, const struct podspec_facts *f, struct str path, struct arena *a,
                  const char **out, struct error *err)
{
    struct mp metadata = mp_get(object_mp(s->object), "metadata");
    const struct {
        const char *path, *value;
    } plain[] = {
        {"metadata.name", s->name},
        {"metadata.namespace", s->ns},
        {"metadata.uid", s->uid},
        {"spec.nodeName", f->node_name},
        {"spec.serviceAccountName", s->service_account},
        {"status.hostIP", f->host_ip},
        {"status.hostIPs", f->host_ip},
        {"status.podIP", f->pod_ip},
        {"status.podIPs", f->pod_ip},
    };
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
        if (str_is(path, plain[i].path)) {
            *out = plain[i].value;
            return 0;
        }
    }
    if (str_is(path, "metadata.labels") || str_is(path, "metadata.annotations")) {
        *out =
            map_text(a, mp_path(object_mp(s->object), path.p[9] == 'l' ? "metadata.labels" : "metadata.annotations"));
        return 0;
    }
    *out = subscript(a, metadata, path, "labels");
    if (*out == NULL) {
        *out = subscript(a, metadata, path, "annotations");
    }
    return *out != NULL ? 0
                        : error_set_field(err, ERR_INVALID, "fieldRef.fieldPath",
                                          "unsupported fieldPath: %.*s (names, uid, labels, annotations, nodeName, "
                                          "serviceAccountName, hostIP and podIP can be used)",
                                          STR_ARG(path));
}

/* What the resource names of a resourceFieldRef mean; cpu counts in thousandths, the rest in bytes. A container without
 * a limit may have what the pod as a whole may, or the node. */
static bool amount_of(const struct podspec *s, const struct podspec_container *c, const struct podspec_facts *f,
                      struct str name, int64_t *out, bool *milli)
{
    const struct podspec_amounts *r = &c->requests, *l = &c->limits, *all = &s->whole_limits;
    int64_t cpu = l->has_cpu ? l->cpu_milli : all->has_cpu ? all->cpu_milli : f->node_cpu_milli;
    int64_t memory = l->has_memory ? l->memory_bytes : all->has_memory ? all->memory_bytes : f->node_memory_bytes;
    int64_t disk = l->ephemeral_bytes > 0 ? l->ephemeral_bytes : f->node_ephemeral_bytes;
    const struct {
        const char *name;
        int64_t amount;
        bool milli;
    } rows[] = {
        {"limits.cpu", cpu, true},
        {"limits.memory", memory, false},
        {"limits.ephemeral-storage", disk, false},
        {"requests.cpu", r->has_cpu ? r->cpu_milli : l->cpu_milli, true},
        {"requests.memory", r->has_memory ? r->memory_bytes : l->memory_bytes, false},
        {"requests.ephemeral-storage", r->ephemeral_bytes, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (str_is(name, rows[i].name)) {
            *out = rows[i].amount;
            *milli = rows[i].milli;
            return true;
        }
    }
    return false;
}

int podspec_resource_field(const struct podspec *s, const struct podspec_container *c, const struct podspec_facts *f,
                           struct mp ref, struct arena *a, const char **out, struct error *err)
{
    struct str container = mp_str(mp_get(ref, "containerName")), name = mp_str(mp_get(ref, "resource"));
    struct str divisor_text = mp_str(mp_get(ref, "divisor"));
    if (!str_empty(container)) {
        c = podspec_find(s, container);
    }
    int64_t amount, divisor = 0;
    bool milli;
    if (c == NULL || !amount_of(s, c, f, name, &amount, &milli)) {
        return error_set_field(err, ERR_INVALID, "resourceFieldRef", "no resource %.*s of container %.*s",
                               STR_ARG(name), STR_ARG(container));
    }
    if (divisor_text.p == NULL || !(milli ? quantity_milli : quantity_units)(divisor_text, &divisor) || divisor <= 0) {
        divisor = milli ? 1000 : 1;
    }
    *out = arena_printf(a, "%lld", (long long)((amount + divisor - 1) / divisor));
    return 0;
}

/* ---- Environment ---- */

static const char *kind_word(enum kind_id kind)
{
    return kind == KIND_SECRET ? "secret" : "configmap";
}

/* The ConfigMap or Secret; NULL with 0 if it is optional and absent. */
static int ref_object(const struct podspec *s, const struct podspec_facts *f, enum kind_id kind, struct mp ref,
                      const struct object **out, struct error *err)
{
    struct str name = mp_str(mp_get(ref, "name"));
    *out = refs_get(f->refs, kind, str_of(s->ns), name);
    if (*out != NULL) {
        return 0;
    }
    if (!refs_synced(f->refs)) {
        return error_set(err, ERR_BUSY, "%s \"%.*s\" is not known yet", kind_word(kind), STR_ARG(name));
    }
    if (mp_bool(mp_get(ref, "optional"), false)) {
        return 0;
    }
    return error_set(err, ERR_NOT_FOUND, "%s \"%.*s\" not found", kind_word(kind), STR_ARG(name));
}

/* Text below data (Secrets hold bytes). */
static struct str data_text(struct mp v)
{
    struct str s = mp_str(v);
    if (s.p == NULL && !mp_read_bin(&v, &s)) {
        return STR_NONE;
    }
    return s.p == NULL ? STR("") : s;
}

static int env_from(const struct podspec *s, const struct podspec_facts *f, struct mp from, struct env_list *l,
                    struct error *err)
{
    static const struct {
        const char *member;
        enum kind_id kind;
    } sources[] = {{"configMapRef", KIND_CONFIGMAP}, {"secretRef", KIND_SECRET}};
    struct str prefix = mp_str(mp_get(from, "prefix"));
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        struct mp ref = mp_get(from, sources[i].member);
        const struct object *o;
        if (mp_type(ref) != MP_MAP) {
            continue;
        }
        int rv = ref_object(s, f, sources[i].kind, ref, &o, err);
        if (rv != 0) {
            return rv;
        }
        for (struct mp_iter it = mp_iter(o == NULL ? mp_of(NULL, 0) : mp_get(object_mp(o), "data")); mp_next(&it);) {
            struct str v = data_text(it.value);
            const char *name = arena_printf(l->arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(it.key));
            if (strchr(name, '=') == NULL) { /* what cannot be a name is left out, as the kubelet does */
                env_set(l, str_of(name), arena_strndup(l->arena, v.p, v.n));
            }
        }
    }
    return 0;
}

/* One key of a ConfigMap or Secret; *out NULL with 0 if optional and absent. */
static int env_key(const struct podspec *s, const struct podspec_facts *f, enum kind_id kind, struct mp ref,
                   struct arena *a, const char **out, struct error *err)
{
    const struct object *o;
    *out = NULL;
    int rv = ref_object(s, f, kind, ref, &o, err);
    if (rv != 0 || o == NULL) {
        return rv;
    }
    struct str key = mp_str(mp_get(ref, "key"));
    struct mp v = mp_get_str_key(mp_get(object_mp(o), "data"), key);
    if (mp_type(v) == MP_NONE) {
        return mp_bool(mp_get(ref, "optional"), false)
                   ? 0
                   : error_set(err, ERR_NOT_FOUND, "couldn't find key %.*s in %s %s/%.*s", STR_ARG(key),
                               kind == KIND_SECRET ? "Secret" : "ConfigMap", s->ns, STR_ARG(o->name));
    }
    struct str text = data_text(v);
    *out = arena_strndup(a, text.p, text.n);
    return 0;
}

static int env_value_from(const struct podspec *s, const struct podspec_container *c, const struct podspec_facts *f,
                          struct mp from, struct arena *a, const char **out, struct error *err)
{
    struct mp ref;
    *out = NULL;
    if (mp_type(ref = mp_get(from, "configMapKeyRef")) == MP_MAP) {
        return env_key(s, f, KIND_CONFIGMAP, ref, a, out, err);
    }
    if (mp_type(ref = mp_get(from, "secretKeyRef")) == MP_MAP) {
        return env_key(s, f, KIND_SECRET, ref, a, out, err);
    }
    if (mp_type(ref = mp_get(from, "fieldRef")) == MP_MAP) {
        return podspec_field(s, f, mp_str(mp_get(ref, "fieldPath")), a, out, err);
    }
    if (mp_type(ref = mp_get(from, "resourceFieldRef")) == MP_MAP) {
        return podspec_resource_field(s, c, f, ref, a, out, err);
    }
    return 0;
}

static void link_set(void *data, const char *name, const char *value)
{
    env_set(data, str_of(name), value);
}

int podspec_resolve(const struct podspec *s, const struct podspec_container *c, const struct podspec_facts *f,
                    struct arena *a, struct podspec_resolved *out, struct error *err)
{
    struct env_list l = {.arena = a, .items = arena_alloc(a, sizeof(char *))};
    l.items[0] = NULL;
    if (f->services != NULL) {
        bool all = mp_bool(mp_get(object_spec(s->object), "enableServiceLinks"), true);
        podspec_service_links(f->services, str_of(s->ns), all, a, link_set, &l);
    }
    for (struct mp_iter it = mp_iter(mp_get(c->raw, "envFrom")); mp_next(&it);) {
        int rv = env_from(s, f, it.value, &l, err);
        if (rv != 0) {
            return rv;
        }
    }
    /* Later ones may name earlier ones, in the order given. */
    for (struct mp_iter it = mp_iter(mp_get(c->raw, "env")); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name")), text = mp_str(mp_get(it.value, "value"));
        struct mp from = mp_get(it.value, "valueFrom");
        const char *value;
        if (mp_type(from) == MP_MAP) {
            int rv = env_value_from(s, c, f, from, a, &value, err);
            if (rv != 0) {
                return rv;
            }
            if (value == NULL) {
                continue;
            }
        } else {
            value = podspec_expand(a, arena_strndup(a, text.p == NULL ? "" : text.p, text.n), l.items);
        }
        env_set(&l, name, value);
    }
    out->env = l.items;
    out->command = expand_list(a, c->command, l.items);
    out->args = expand_list(a, c->args, l.items);
    return 0;
}
