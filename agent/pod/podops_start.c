/* What a container needs before it runs, and its start: volumes, the image, environment, mounts. Everything but the
 * image and the start itself is done at once: files of a virtual or local file system, short. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/image/registry.h"
#include "agent/pod/handler.h"
#include "agent/pod/podops.h"
#include "agent/pod/refs.h"
#include "agent/pod/source.h"
#include "agent/pod/tokens.h"
#include "agent/registries.h"
#include "agent/util/fsutil.h"

/* ---- Volumes ---- */

/* After a restart of the agent with the masters away: the content is not known, but it is still there from before
 * (layout: volume.h). */
static bool is_laid_out(const struct agent_pod *ap, const char *name, char path[VOLUME_PATH_MAX])
{
    char data[VOLUME_PATH_MAX];
    fs_path(path, VOLUME_PATH_MAX, "%s/volumes/%s/volumes/%s", ap->agent->dir, ap->uid, name);
    fs_path(data, sizeof data, "%s/..data", path);
    return !ap->agent->hollow && fs_exists(data);
}

static int mount_one(struct agent_pod *ap, const struct podspec_volume *v, struct source_said *said,
                     char path[VOLUME_PATH_MAX], struct error *err)
{
    struct volume_store *s = ap->agent->volumes;
    const struct podspec *spec = ap->pod->spec;
    if (v->how != NULL && v->how->mount != NULL) {
        const struct source_mount m = {.pod = ap,
                                       .said = said,
                                       .store = s,
                                       .spec = spec,
                                       .volume = v,
                                       .memory_bytes = podops_limits(ap->pod).memory_bytes};
        return v->how->mount(&m, path, err);
    }
    CLEANUP_ARENA_WIPE struct arena a;
    arena_init(&a);
    struct volume_file *files;
    unsigned count;
    bool secret;
    struct podspec_facts facts = podops_facts(ap->pod);
    int rv = podspec_volume_files(spec, v, &facts, &a, &files, &count, &secret, err);
    if (rv == ERR_BUSY && is_laid_out(ap, v->name, path)) {
        return 0;
    }
    return rv != 0 ? rv : volume_files(s, spec->uid, v->name, secret, files, count, spec->fs_group, path, NULL, err);
}

struct laid {
    const char *path; /* in the arena */
    struct source_said said;
};

/* laid: one per volume of the spec; NULL = not wanted. Those that take time are begun all at once: ERR_BUSY. */
static int mount_all(struct agent_pod *ap, struct arena *a, struct laid *laid, struct error *err)
{
    const struct podspec *spec = ap->pod->spec;
    struct agent *agent = ap->agent;
    int busy = 0, wanted = agent->tokens == NULL ? 0 : tokens_want(agent->tokens, spec, agent->volumes, err);
    if (wanted != 0) {
        return wanted;
    }
    for (unsigned i = 0; i < spec->volumes_count; i++) {
        char path[VOLUME_PATH_MAX];
        struct source_said said = {0};
        int rv = mount_one(ap, &spec->volumes[i], &said, path, err);
        if (rv == ERR_BUSY) {
            busy = rv;
        } else if (rv != 0) {
            if (err != NULL && rv != ERR_UNSUPPORTED) {
                error_wrap(err, "volume \"%s\"", spec->volumes[i].name);
            }
            return rv;
        } else if (laid != NULL) {
            laid[i] = (struct laid){arena_strdup(a, path), said};
        }
    }
    return busy;
}

int podops_volumes_mount(struct pod *p, struct error *err)
{
    return mount_all(agent_pod_of(p), NULL, NULL, err);
}

/* What cannot be updated now (a ConfigMap that has vanished) keeps its old content, as with the kubelet. */
void podops_volumes_update(struct pod *p)
{
    struct agent *agent = podops_agent(p);
    struct podspec_facts facts = podops_facts(p);
    for (unsigned i = 0; i < p->spec->volumes_count; i++) {
        const struct podspec_volume *v = &p->spec->volumes[i];
        struct volume_file *files;
        unsigned count;
        bool secret, changed = false;
        CLEANUP_ARENA_WIPE struct arena a;
        struct error err;
        arena_init(&a);
        if (!source_is_files(v) || podspec_volume_files(p->spec, v, &facts, &a, &files, &count, &secret, &err) != 0) {
            continue;
        }
        int rv = volume_update(agent->volumes, p->spec->uid, v->name, files, count, p->spec->fs_group, &changed, &err);
        if (rv != 0 && rv != ERR_NOT_FOUND) {
            pod_event(p, NULL, true, "FailedMount", "MountVolume.SetUp failed for volume \"%s\": %s", v->name,
                      err.message);
        } else if (changed) {
            log_debug(agent->log, "pod", "%s/%s: volume %s has new content", p->spec->ns, p->spec->name, v->name);
        }
    }
}

/* ---- Images ---- */

static void drop_image(struct container *c)
{
    if (c->image != NULL) {
        image_unref(c->image);
        c->image = NULL;
    }
}

/* As Go writes it: "850ms", "1.234s", "2m3.4s". */
static void duration_text(uint64_t ms, char out[32])
{
    if (ms < 1000) {
        snprintf(out, 32, "%llums", (unsigned long long)ms);
        return;
    }
    char fraction[8] = "";
    if (ms % 1000 != 0) {
        snprintf(fraction, sizeof fraction, ".%03llu", (unsigned long long)(ms % 1000));
        for (size_t n = strlen(fraction); fraction[n - 1] == '0';) {
            fraction[--n] = '\0';
        }
    }
    unsigned long long s = ms / 1000, hours = s / 3600, minutes = s / 60 % 60;
    int n = hours > 0 ? snprintf(out, 32, "%lluh", hours) : 0;
    n += s >= 60 ? snprintf(out + n, 32 - (size_t)n, "%llum", minutes) : 0;
    snprintf(out + n, 32 - (size_t)n, "%llu%ss", s % 60, fraction);
}

static void tell_image(struct container *c, const struct image_result *r)
{
    bool always = str_is(str_of(c->spec->pull_policy), "Always");
    if (r->pulled) {
        char pulled[32], waited[32];
        duration_text(r->pull_ms, pulled);
        duration_text(r->wait_ms, waited);
        pod_event(c->pod, c, false, "Pulled",
                  "Successfully pulled image \"%s\" in %s (%s including waiting). Image size: %llu bytes.",
                  c->spec->image, pulled, waited, (unsigned long long)r->image->size_bytes);
    } else if (r->unreachable) {
        pod_event(c->pod, c, true, "Pulled",
                  "No registry can be reached: the image \"%s\" that is on the machine is used", c->spec->image);
    } else {
        pod_event(c->pod, c, false, "Pulled", "Container image \"%s\" already present on machine%s", c->spec->image,
                  always ? "; no registry is asked for a newer one" : "");
    }
}

static void on_image(const struct image_result *r, void *data)
{
    struct container *c = data;
    drop_image(c);
    c->image = r->image;
    if (r->image == NULL) {
        container_on_image(c, r->reason[0] != '\0' ? r->reason : "ErrImagePull", r->error);
        return;
    }
    if (c->state == CONTAINER_PULLING) {
        tell_image(c, r);
    }
    container_on_image(c, "", NULL);
    if (c->state != CONTAINER_STARTING) {
        drop_image(c);
    }
}

/* Of the Secrets that the pod names for registries; one that is absent or of another type is passed over, as the
 * registry may let the image be pulled all the same. */
static struct registry_login *logins_of(struct container *c, unsigned *count)
{
    static const struct {
        const char *key;
        bool legacy;
    } forms[] = {{".dockerconfigjson", false}, {".dockercfg", true}};
    const struct podspec *s = c->pod->spec;
    const struct agent *a = podops_agent(c->pod);
    struct registry_login *list = NULL;
    *count = 0;
    for (const char *const *name = s->pull_secrets; name != NULL && *name != NULL; name++) {
        const struct object *o = refs_get(a->refs, KIND_SECRET, str_of(s->ns), str_of(*name));
        if (o == NULL && refs_synced(a->refs)) {
            pod_event(c->pod, c, true, "FailedToRetrieveImagePullSecret",
                      "Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.",
                      *name);
        }
        for (size_t i = 0; o != NULL && i < ARRAY_SIZE(forms); i++) {
            struct mp v = mp_get(mp_get(object_mp(o), "data"), forms[i].key);
            struct str json = mp_str(v);
            struct error err = {0};
            if ((json.p != NULL || mp_read_bin(&v, &json)) && json.n > 0 &&
                registry_logins_read(json, forms[i].legacy, &list, count, &err) != 0) {
                log_warn(a->log, "image", "Secret %s/%s: %s", s->ns, *name, err.message);
            }
        }
    }
    return list;
}

bool podops_pull_lacks(const struct container *c)
{
    const struct agent *a = podops_agent(c->pod);
    const struct podspec *s = c->pod->spec;
    bool lacks = false;
    for (const char *const *name = s->pull_secrets; name != NULL && *name != NULL; name++) {
        lacks = lacks || refs_get(a->refs, KIND_SECRET, str_of(s->ns), str_of(*name)) == NULL;
    }
    return lacks &&
           image_would_pull(a->images, c->spec->image, image_policy_of(str_of(c->spec->pull_policy), c->spec->image));
}

void podops_image_ensure(struct container *c)
{
    struct image_store *images = podops_agent(c->pod)->images;
    enum image_policy policy = image_policy_of(str_of(c->spec->pull_policy), c->spec->image);
    unsigned count = 0;
    registries_look(podops_agent(c->pod));
    if (!image_would_pull(images, c->spec->image, policy)) {
        image_ensure(images, c->spec->image, policy, on_image, c);
        return;
    }
    if (c->state == CONTAINER_PULLING) {
        pod_event(c->pod, c, false, "Pulling", "Pulling image \"%s\"", c->spec->image);
    }
    struct registry_login *logins = logins_of(c, &count);
    image_ensure_as(images, c->spec->image, policy, logins, count, on_image, c);
}

/* ---- Start ---- */

struct mounts {
    struct runtime_mount *items;
    unsigned count;
};

static int find_volume(const struct podspec *s, const char *name)
{
    for (unsigned i = 0; i < s->volumes_count; i++) {
        if (strcmp(s->volumes[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* mount_setattr(2). */
static bool can_read_only_below(void)
{
#ifdef SYS_mount_setattr
    return syscall(SYS_mount_setattr, -1, "", 0, NULL, 0) == 0 || errno != ENOSYS;
#else
    return false;
#endif
}

static int sub_path_of(struct container *c, const char *key, const struct podspec_volume *v, const struct laid *laid,
                       const char *below, char path[VOLUME_PATH_MAX], struct error *err)
{
    struct agent_pod *ap = agent_pod_of(c->pod);
    return laid->said.remote
               ? volume_sub_path_aside(ap->agent->volumes, ap->uid, key, container_next_attempt(c), laid->path, below,
                                       path, err)
               : volume_sub_path(ap->agent->volumes, ap->uid, key, laid->path, below, source_is_files(v), path, err);
}

static int make_mounts(struct container *c, struct arena *a, const char *const *env, struct mounts *out,
                       struct error *err)
{
    struct agent_pod *ap = agent_pod_of(c->pod);
    const struct podspec *spec = c->pod->spec;
    struct laid *laid = arena_alloc(a, (spec->volumes_count + 1) * sizeof *laid);
    int rv = mount_all(ap, a, laid, err), busy = 0;
    out->items = arena_alloc(a, (c->spec->mounts_count + 1) * sizeof *out->items);
    for (unsigned i = 0; rv == 0 && i < c->spec->mounts_count; i++) {
        const struct podspec_mount *m = &c->spec->mounts[i];
        int v = find_volume(spec, m->name);
        if (v < 0) {
            return error_set(err, ERR_INVALID, "container %s mounts volume \"%s\", which the pod does not have",
                             c->spec->name, m->name);
        }
        const char *source = laid[v].path;
        if (m->sub_path[0] != '\0') {
            char key[128], sub[VOLUME_PATH_MAX];
            const char *below = m->sub_path;
            snprintf(key, sizeof key, "%s-%u", c->spec->name, i);
            rv = m->sub_path_is_expr ? podspec_expand_sub_path(a, m->sub_path, env, &below, err) : 0;
            rv = rv != 0 ? rv : sub_path_of(c, key, &spec->volumes[v], &laid[v], below, sub, err);
            source = arena_strdup(a, rv == 0 ? sub : "");
            if (rv == ERR_BUSY) { /* and so may others be */
                busy = rv;
                rv = 0;
            }
        }
        if (rv == 0 && ap->sandbox != NULL && ap->sandbox->user[0] != '\0') {
            char key[128], shifted[VOLUME_PATH_MAX];
            snprintf(key, sizeof key, "%s-%u", c->spec->name, i);
            rv = volume_shift(ap->agent->volumes, ap->uid, key, source, ap->sandbox->user,
                              spec->volumes[v].how->foreign, shifted, err);
            if (rv != 0 && err != NULL) {
                error_wrap(err, "volume \"%s\" of a pod with hostUsers false", m->name);
            }
            source = arena_strdup(a, rv == 0 ? shifted : "");
        }
        if (rv == 0 && source[0] != '\0' && strcmp(m->propagation, "Bidirectional") == 0 && !ap->agent->hollow &&
            !laid[v].said.remote && !fs_is_shared(source)) {
            rv = error_set(err, ERR_SYSTEM,
                           "volume \"%s\": mountPropagation Bidirectional needs a shared mount, and %s lies on none",
                           m->name, source);
        }
        struct runtime_mount *rm = &out->items[out->count++];
        *rm = podspec_runtime_mount(&spec->volumes[v], c->spec, m, source);
        rm->read_only |= laid[v].said.read_only;
        rm->read_only_below =
            m->read_only && (strcmp(m->recursive_read_only, "Enabled") == 0 ||
                             (strcmp(m->recursive_read_only, "IfPossible") == 0 && can_read_only_below()));
    }
    return rv != 0 ? rv : busy;
}

static void on_started(const struct runtime_started *r, void *data)
{
    struct container *c = data;
    drop_image(c);
    container_on_started(c, r);
}

/* The PID namespace of the container whose processes this one is to see. NULL: it sees them anyway, or wants none,
 * or there are none. */
static const char *target_pid_namespace(struct container *c, struct arena *a)
{
    struct agent *agent = podops_agent(c->pod);
    const struct podspec *spec = c->pod->spec;
    struct container *target = c->spec->target[0] == '\0' ? NULL : pod_find(c->pod, str_of(c->spec->target));
    struct runtime_status st;
    char id[RUNTIME_ID_MAX];
    if (c->spec->target[0] == '\0' || spec->host_pid || spec->shared_pid) {
        return NULL;
    }
    if (target != NULL && container_is_up(target)) {
        if (agent->hollow) {
            return NULL; /* it has no processes */
        }
        container_runtime_id(target, target->attempt, id);
        if (runtime_get(agent->runtime, id, &st) && st.state == RUNTIME_RUNNING && st.pid > 0) {
            return arena_printf(a, "/proc/%d/ns/pid", st.pid);
        }
    }
    pod_event(c->pod, c, true, "TargetNotRunning",
              "Container %s does not see the processes of %s, which does not run; it is started without", c->spec->name,
              c->spec->target);
    return NULL;
}

int podops_start(struct container *c, struct error *err)
{
    struct agent_pod *ap = agent_pod_of(c->pod);
    struct agent *agent = ap->agent;
    const struct podspec *spec = c->pod->spec;
    struct podspec_facts facts = podops_facts(c->pod);
    struct podspec_resolved resolved;
    struct mounts mounts = {0};
    struct runtime_spec rs;
    char cgroup[CGROUP_PATH_MAX], log_path[LOGFILE_PATH_MAX], handler[HANDLER_SIZE];
    struct cgroup_limits limits = podops_limits(c->pod);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);

    const char *reason;
    char why[PODSPEC_WHY_MAX];
    if (c->spec->is_ephemeral && !podspec_honoured(spec, c->spec, &reason, why)) { /* others: when the pod came */
        drop_image(c);
        return error_set(err, ERR_UNSUPPORTED, "%s", why);
    }
    bool renewed = false;
    int rv = ap->sandbox == NULL ? 0 : sandbox_renew(agent->sandboxes, ap->sandbox, &renewed, err);
    if (renewed) {
        podops_place_holder(ap);
    }
    rv = rv != 0 ? rv : handler_of_pod(ap, handler, err);
    rv = rv != 0 ? rv : podspec_resolve(spec, c->spec, &facts, &a, &resolved, err);
    rv = rv != 0 ? rv : make_mounts(c, &a, resolved.env, &mounts, err);
    rv = rv != 0 ? rv : cgroup_pod_make(agent->cgroup, ap->uid, &limits, cgroup, err);
    if (rv != 0) {
        drop_image(c);
        return rv;
    }
    unsigned attempt = container_next_attempt(c);
    logfile_path(log_path, agent->logs_dir, ap->ns, ap->name, ap->uid, c->spec->name, attempt);
    runtime_spec_init(&rs);
    rs.pod_uid = ap->uid;
    rs.pod_name = ap->name;
    rs.pod_ns = ap->ns;
    rs.name = c->spec->name;
    rs.handler = handler;
    rs.attempt = attempt;
    rs.image = c->image;
    rs.command = resolved.command;
    rs.args = resolved.args;
    rs.env = resolved.env;
    rs.cwd = c->spec->cwd;
    rs.sandbox = ap->sandbox;
    rs.host_pid = spec->host_pid;
    rs.pid_namespace = target_pid_namespace(c, &a);
    rs.cgroup_parent = cgroup;
    rs.mounts = mounts.items;
    rs.mounts_count = mounts.count;
    podspec_container_resources(spec, c->spec, agent->facts.memory_bytes, &rs.resources);
    rs.security = c->spec->security;
    rs.tty = c->spec->tty;
    rs.stdin_open = c->spec->stdin_open;
    rs.stdin_once = c->spec->stdin_once;
    rs.log_path = log_path;
    rs.termination_message_path = c->spec->termination_message_path;
    runtime_start(agent->runtime, &rs, on_started, c);
    return 0;
}
