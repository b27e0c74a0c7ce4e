/* persistentVolumeClaim, ephemeral: the volume that is bound to a claim, which the pod names or which was made for
 * it, of one of the sources that PersistentVolumes have. */
#include "agent/pod/claims.h"
#include "agent/pod/locals.h"
#include "agent/pod/pods.h"
#include "agent/pod/source.h"
#include "proto/facts/storage.h"

struct place {
    const struct source_mount *m;
    struct agent *agent;
    struct claim *claim;
    const char *own; /* name of the claim that was made for the pod; NULL: the pod names one */
    struct mp spec;  /* of the PersistentVolume */
    struct arena arena;
    bool read_only;
};

static const char *text_of(struct place *p, struct mp v)
{
    struct str s = mp_str(v);
    return arena_strndup(&p->arena, s.p == NULL ? "" : s.p, s.n);
}

/* ---- Sources of PersistentVolumes ---- */

/* Given to the group of the first pod on the node that has it; not once more beside others. */
static int64_t group_for(const struct place *p)
{
    const struct podspec *spec = p->m->spec;
    bool done = p->claim->ready || claims_use(p->agent->claims, p->claim->volume->uid, spec->uid, true);
    return done || p->read_only ? -1 : spec->fs_group;
}

static int mount_local(struct place *p, struct mp source, char path[VOLUME_PATH_MAX], struct error *err)
{
    struct agent *a = p->agent;
    const struct object *o = p->claim->volume;
    const struct podspec *spec = p->m->spec;
    struct str policy = mp_str(mp_path(object_mp(spec->object), "spec.securityContext.fsGroupChangePolicy"));
    struct volume_directory d = {
        .path = text_of(p, mp_get(source, "path")),
        .gid = group_for(p),
        .on_mismatch = str_is(policy, "OnRootMismatch"),
    };
    if (!str_empty(storage_node(o))) {
        const char *own = arena_printf(&p->arena, "%s/%.*s", locals_dir(a), STR_ARG(o->name));
        if (strcmp(own, d.path) != 0) {
            return error_set(err, ERR_INVALID, "its directory is %s, but this node keeps local volumes in %s", d.path,
                             locals_dir(a));
        }
        d.made_in = locals_dir(a);
        d.notes = locals_notes(a);
        d.volume = arena_strndup(&p->arena, o->name.p, o->name.n);
        d.volume_uid = arena_strndup(&p->arena, o->uid.p, o->uid.n);
    }
    return volume_directory(p->m->store, spec->uid, p->m->volume->name, &d, path, err);
}

static int mount_host_path(struct place *p, struct mp source, char path[VOLUME_PATH_MAX], struct error *err)
{
    return source_host_path_mount(p->m, source, path, err);
}

static int mount_nfs(struct place *p, struct mp source, char path[VOLUME_PATH_MAX], struct error *err)
{
    CLEANUP_BUF struct buf options = BUF_INIT;
    for (struct mp_iter it = mp_iter(mp_get(p->spec, "mountOptions")); mp_next(&it);) {
        buf_printf(&options, "%s%.*s", options.size == 0 ? "" : ",", STR_ARG(mp_str(it.value)));
    }
    return source_nfs_mount(p->m, source, buf_cstr(&options), p->read_only, path, err);
}

static const struct {
    const char *member;
    int (*mount)(struct place *p, struct mp source, char path[VOLUME_PATH_MAX], struct error *err);
} sources[] = {{"local", mount_local}, {"hostPath", mount_host_path}, {"nfs", mount_nfs}};

/* ---- Whether, and which ---- */

static bool reaches(const struct agent *a, const struct object *volume)
{
    struct mp labels = a->node == NULL ? mp_of(NULL, 0) : mp_path(object_mp(a->node), "metadata.labels");
    struct str node = storage_node(volume);
    return (str_empty(node) || str_is(node, a->name)) && storage_reaches(volume, labels, str_of(a->name));
}

static int take(struct place *p, struct error *err)
{
    const struct source_mount *m = p->m;
    struct agent *a = p->agent;
    const struct object *claim, *volume;
    struct str name = str_of(p->own != NULL ? p->own : text_of(p, mp_get(m->volume->source, "claimName")));
    int rv = claims_bound(a->refs, str_of(m->spec->ns), name, &claim, &volume, err);
    if (rv != 0) {
        return rv;
    }
    if (p->own != NULL && !storage_made_for(claim, m->spec->object)) {
        return error_set(err, ERR_INVALID, "PVC %s/%s was not created for pod %s/%s (pod is not owner)", m->spec->ns,
                         p->own, m->spec->ns, m->spec->name);
    }
    if (!reaches(a, volume)) {
        pods_ask_for_node(m->pod); /* our labels may have changed: the next try knows them */
        return error_set(err, ERR_INVALID,
                         "PersistentVolume \"%.*s\" cannot be used on node %s: its node affinity does not match",
                         STR_ARG(volume->name), a->name);
    }
    return claims_take(a->claims, m->spec->uid, m->volume->name, claim, volume, &p->claim, err);
}

static int lay_out(struct place *p, char path[VOLUME_PATH_MAX], struct error *err)
{
    p->spec = object_spec(p->claim->volume);
    p->read_only = p->claim->read_only || mp_bool(mp_get(p->m->volume->source, "readOnly"), false);
    for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
        struct mp source = mp_get(p->spec, sources[i].member);
        if (mp_type(source) == MP_MAP) {
            int rv = sources[i].mount(p, source, path, err);
            p->m->said->read_only |= p->read_only;
            return rv;
        }
    }
    return error_set(err, ERR_UNSUPPORTED, "PersistentVolume \"%.*s\" is of no kind that a node can mount",
                     STR_ARG(p->claim->volume->name));
}

static int mount_claim(const struct source_mount *m, bool own, char path[VOLUME_PATH_MAX], struct error *err)
{
    struct place p = {.m = m, .agent = m->pod->agent};
    arena_init(&p.arena);
    p.own = own ? arena_printf(&p.arena, "%s-%s", m->spec->name, m->volume->name) : NULL;
    p.claim = claims_find(p.agent->claims, m->spec->uid, m->volume->name);
    int rv = p.claim == NULL ? take(&p, err) : 0;
    rv = rv != 0 ? rv : lay_out(&p, path, err);
    if (rv == 0 && !p.claim->ready) {
        claims_set_ready(p.agent->claims, p.claim);
    }
    arena_close(&p.arena);
    return rv;
}

static int mount_named(const struct source_mount *m, char path[VOLUME_PATH_MAX], struct error *err)
{
    return mount_claim(m, false, path, err);
}

static int mount_own(const struct source_mount *m, char path[VOLUME_PATH_MAX], struct error *err)
{
    return mount_claim(m, true, path, err);
}

const struct source source_claim = {
    .name = "persistentVolumeClaim",
    .mount = mount_named,
    .scratch = true,
    .foreign = true,
};
const struct source source_ephemeral = {
    .name = "ephemeral",
    .mount = mount_own,
    .scratch = true,
    .foreign = true,
};
