/* What pods and pod templates refer to, as rows: a part of an environment, a field of the spec; volumes tell it of
 * their sources (volumes.h). Source: Kubernetes core/v1 Volume, EnvVarSource, EnvFromSource, PodSpec. */
#include "proto/facts/storage.h"
#include "proto/kinds/volumes.h"

static const struct ref_row env_rows[] = {
    {"valueFrom", "configMapKeyRef", "name", "ConfigMap", REFERENCE_CONTENT, false},
    {"valueFrom", "secretKeyRef", "name", "Secret", REFERENCE_CONTENT, false},
};

static const struct ref_row env_from_rows[] = {
    {"configMapRef", NULL, "name", "ConfigMap", REFERENCE_CONTENT, false},
    {"secretRef", NULL, "name", "Secret", REFERENCE_CONTENT, false},
};

static const struct ref_row pull_secret_rows[] = {{NULL, NULL, "name", "Secret", REFERENCE_CONTENT, true}};

static const struct ref_row claim_rows[] = {
    {NULL, NULL, "resourceClaimName", "ResourceClaim", REFERENCE_TARGET, false},
    {NULL, NULL, "resourceClaimTemplateName", "ResourceClaimTemplate", REFERENCE_TARGET, false},
};

static const struct ref_row spec_rows[] = {
    {NULL, NULL, "nodeName", "Node", REFERENCE_PLACE, false},
    {NULL, NULL, "serviceAccountName", "ServiceAccount", REFERENCE_TARGET, false},
    {NULL, NULL, "priorityClassName", "PriorityClass", REFERENCE_TARGET, false},
    {NULL, NULL, "runtimeClassName", "RuntimeClass", REFERENCE_CONTENT, false},
};

static const struct ref_row group_rows[] = {{NULL, NULL, "podGroupName", "PodGroup", REFERENCE_TARGET, false}};

struct refs_walk {
    struct str ns;
    struct str pod; /* its name; empty: a template */
    kind_reference_cb *cb;
    void *data;
};

static void tell(const struct refs_walk *w, const struct ref_row *row, struct mp map)
{
    struct str name = mp_str(mp_get(map, row->name));
    const struct kind *k = name_is_key(name) ? kind_by_name(str_of(row->kind)) : NULL;
    if (k != NULL) {
        const struct kind_reference r = {.kind = k,
                                         .ns = k->namespaced ? w->ns : STR_NONE,
                                         .name = name,
                                         .use = row->use,
                                         .optional = row->optional || mp_bool(mp_get(map, "optional"), false)};
        w->cb(w->data, &r);
    }
}

/* Each member of each pod is compared with all rows: most differ in their first letter. */
static bool is_row(struct str key, const char *name)
{
    return key.n > 0 && key.p[0] == name[0] && str_is(key, name);
}

static void walk_map(const struct refs_walk *w, const struct ref_row *rows, unsigned count, struct mp map)
{
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        for (unsigned i = 0; i < count; i++) {
            const struct ref_row *r = &rows[i];
            if (is_row(it.key, r->at == NULL ? r->name : r->at)) {
                tell(w, r, r->at == NULL ? map : r->within == NULL ? it.value : mp_get(it.value, r->within));
            }
        }
    }
}

#define WALK(w, rows, map) walk_map(w, rows, ARRAY_SIZE(rows), map)
#define WALK_LIST(w, rows, list)                                                                                       \
    for (struct mp_iter rows##_it = mp_iter(list); mp_next(&rows##_it);) {                                             \
        WALK(w, rows, rows##_it.value);                                                                                \
    }

/* A claim that is made for the pod is told as one that it names. */
static void tell_own_claim(const struct refs_walk *w, struct mp volume)
{
    struct storage_pod_claim claim;
    if (storage_claim_of(w->pod, volume, &claim) && claim.own && name_is_key(claim.name)) {
        const struct kind_reference r = {
            .kind = kind_by_id(KIND_PERSISTENTVOLUMECLAIM), .ns = w->ns, .name = claim.name, .use = REFERENCE_CONTENT};
        w->cb(w->data, &r);
    }
}

/* Sources that no node mounts yet are refused for new pods: agents are told of nothing for them (REFERENCE_TARGET). */
static void walk_volume(const struct refs_walk *w, struct mp volume)
{
    for (struct mp_iter it = mp_iter(volume); mp_next(&it);) {
        const struct volume_source *s = volume_source_find(it.key);
        if (s == NULL || s->refs == NULL) {
            continue;
        }
        for (unsigned i = 0; s->parts == NULL && i < s->refs_count; i++) {
            const struct ref_row *r = &s->refs[i];
            tell(w, r, r->within == NULL ? it.value : mp_get(it.value, r->within));
        }
        for (struct mp_iter part = mp_iter(s->parts == NULL ? mp_of(NULL, 0) : mp_get(it.value, s->parts));
             mp_next(&part);) {
            walk_map(w, s->refs, s->refs_count, part.value);
        }
    }
}

static void walk_volumes(const struct refs_walk *w, struct mp volumes)
{
    for (struct mp_iter it = mp_iter(volumes); mp_next(&it);) {
        walk_volume(w, it.value);
        tell_own_claim(w, it.value);
    }
}

static void walk_containers(const struct refs_walk *w, struct mp containers)
{
    for (struct mp_iter it = mp_iter(containers); mp_next(&it);) {
        for (struct mp_iter c = mp_iter(it.value); mp_next(&c);) {
            if (str_is(c.key, "env")) {
                WALK_LIST(w, env_rows, c.value);
            } else if (str_is(c.key, "envFrom")) {
                WALK_LIST(w, env_from_rows, c.value);
            }
        }
    }
}

static void walk_pull_secrets(const struct refs_walk *w, struct mp list)
{
    WALK_LIST(w, pull_secret_rows, list);
}

static void walk_claims(const struct refs_walk *w, struct mp list)
{
    WALK_LIST(w, claim_rows, list);
}

static void walk_group(const struct refs_walk *w, struct mp group)
{
    WALK(w, group_rows, group);
}

static const struct {
    const char *member;
    void (*walk)(const struct refs_walk *w, struct mp value);
} spec_walks[] = {
    {"volumes", walk_volumes},
    {"initContainers", walk_containers},
    {"containers", walk_containers},
    {"ephemeralContainers", walk_containers},
    {"imagePullSecrets", walk_pull_secrets},
    {"resourceClaims", walk_claims},
    {"schedulingGroup", walk_group},
};

/* Once through the bytes: it is done for each pod that is written. */
static void walk_spec(const struct refs_walk *w, struct mp spec)
{
    for (struct mp_iter it = mp_iter(spec); mp_next(&it);) {
        for (unsigned i = 0; i < ARRAY_SIZE(spec_walks); i++) {
            if (is_row(it.key, spec_walks[i].member)) {
                spec_walks[i].walk(w, it.value);
            }
        }
        for (unsigned i = 0; i < ARRAY_SIZE(spec_rows); i++) {
            if (is_row(it.key, spec_rows[i].name)) {
                tell(w, &spec_rows[i], spec);
            }
        }
    }
}

void pod_spec_references(struct mp spec, struct str ns, kind_reference_cb *cb, void *data)
{
    walk_spec(&(struct refs_walk){.ns = ns, .cb = cb, .data = data}, spec);
}

void pod_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    walk_spec(&(struct refs_walk){.ns = o->ns, .pod = o->name, .cb = cb, .data = data}, object_spec(o));
}
