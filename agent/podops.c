/* What pods ask of their node, done by the modules of this one: the only place where the machines of pod.h and container.h meet processes,
 * namespaces and files. Contexts hold pointers to pods and containers: a pod lives until every answer it waits for has come. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_int.h"
#include "agent/defer.h"
#include "agent/prober.h"
#include "proto/quantity.h"

static struct agent *agent_of(const struct pod *p)
{
    return p->node->data;
}

static void container_id(const struct container *c, unsigned attempt, char out[RUNTIME_ID_MAX])
{
    runtime_container_id(out, c->pod->spec->uid, c->spec->name, attempt);
}

static struct podspec_facts facts_of(const struct pod *p)
{
    struct podspec_facts f = p->node->facts;
    f.pod_ip = p->ip;
    return f;
}

/* ---- Sandbox and network ---- */

static struct cgroup_limits limits_of(const struct pod *p)
{
    struct cgroup_limits limits;
    podspec_pod_limits(p->spec, &limits);
    return limits;
}

static void set_ip(struct agent_pod *ap, const char *ip)
{
    struct error err;
    if (sandbox_set_ip(ap->agent->sandboxes, ap->sandbox, ip, ap->pod->spec->extra_hosts, &err) != 0) {
        log_warn(ap->agent->log, "pod", "%s/%s: %s", ap->ns, ap->name, err.message);
    }
}

static void on_sandbox(const struct sandbox *sb, const struct error *error, void *data)
{
    struct pod *p = data;
    struct agent_pod *ap = agent_pod_of(p);
    if (error == NULL) {
        free(ap->sandbox);
        ap->sandbox = xmemdup(sb, sizeof *sb);
        if (p->spec->host_network) {
            set_ip(ap, ap->agent->node_ip);
        }
    }
    pod_on_sandbox(p, error);
}

struct refused_sandbox {
    struct pod *pod;
    struct error error;
};

static void refuse_sandbox(void *data)
{
    struct refused_sandbox *r = data;
    pod_on_sandbox(r->pod, &r->error);
    free(r);
}

static void op_sandbox_make(struct pod *p)
{
    struct agent *a = agent_of(p);
    char path[CGROUP_PATH_MAX];
    struct cgroup_limits limits = limits_of(p);
    struct error err;
    if (cgroup_pod_make(a->cgroup, p->spec->uid, &limits, path, &err) != 0) {
        struct refused_sandbox *r = xmalloc(sizeof *r);
        *r = (struct refused_sandbox){p, err};
        defer_call(a->loop, refuse_sandbox, r);
        return;
    }
    struct sandbox_spec spec = {
        .uid = p->spec->uid,
        .hostname = p->spec->hostname,
        .domain = p->spec->domain,
        .host_network = p->spec->host_network,
        .host_ipc = p->spec->host_ipc,
        .resolv_conf = p->spec->resolv_conf,
    };
    sandbox_make(a->sandboxes, &spec, on_sandbox, p);
}

static void on_network(const char *ip, const struct error *error, void *data)
{
    struct pod *p = data;
    if (error == NULL) {
        set_ip(agent_pod_of(p), ip);
    }
    pod_on_network(p, ip, error);
}

static void op_network_add(struct pod *p)
{
    struct agent *a = agent_of(p);
    struct agent_pod *ap = agent_pod_of(p);
    struct network_port ports[NETWORK_PORTS_MAX];
    struct network_pod pod = {
        .uid = ap->uid, .name = ap->name, .ns = ap->ns, .netns = ap->sandbox->net, .ports = ports};
    for (unsigned i = 0; i < p->spec->count; i++) {
        const struct podspec_container *c = &p->spec->containers[i];
        for (unsigned k = 0; k < c->ports_count && pod.ports_count < NETWORK_PORTS_MAX; k++) {
            if (c->ports[k].host_port != 0) {
                ports[pod.ports_count++] = (struct network_port){c->ports[k].host_port, c->ports[k].container_port,
                                                                 c->ports[k].protocol, c->ports[k].host_ip};
            }
        }
    }
    network_add(a->network, &pod, on_network, p);
}

/* ---- Volumes ---- */

static int mount_one(struct agent_pod *ap, const struct podspec_volume *v, char path[VOLUME_PATH_MAX],
                     struct error *err)
{
    struct volume_store *s = ap->agent->volumes;
    const struct podspec *spec = ap->pod->spec;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (v->kind == PODSPEC_VOLUME_EMPTY_DIR) {
        int64_t limit = 0;
        struct str size = mp_str(mp_get(v->source, "sizeLimit"));
        if (size.p != NULL && !quantity_units(size, &limit)) {
            limit = 0;
        }
        bool memory = str_is(mp_str(mp_get(v->source, "medium")), "Memory");
        return volume_empty_dir(s, spec->uid, v->name, memory, (uint64_t)limit, spec->fs_group, path, err);
    }
    if (v->kind == PODSPEC_VOLUME_HOST_PATH) {
        struct str host = mp_str(mp_get(v->source, "path")), type = mp_str(mp_get(v->source, "type"));
        return volume_host_path(s, arena_strndup(&a, host.p, host.n), arena_strndup(&a, type.p, type.n), path, err);
    }
    struct volume_file *files;
    unsigned count;
    bool secret;
    struct podspec_facts facts = facts_of(ap->pod);
    int rv = podspec_volume_files(spec, v, &facts, &a, &files, &count, &secret, err);
    return rv != 0 ? rv : volume_files(s, spec->uid, v->name, secret, files, count, spec->fs_group, path, NULL, err);
}

/* paths: one per volume of the spec, in the arena; NULL = not wanted. */
static int mount_all(struct agent_pod *ap, struct arena *a, const char **paths, struct error *err)
{
    const struct podspec *spec = ap->pod->spec;
    for (unsigned i = 0; i < spec->volumes_count; i++) {
        char path[VOLUME_PATH_MAX];
        int rv = mount_one(ap, &spec->volumes[i], path, err);
        if (rv != 0) {
            if (err != NULL && rv != ERR_UNSUPPORTED && rv != ERR_BUSY) {
                error_wrap(err, "volume \"%s\"", spec->volumes[i].name);
            }
            return rv;
        }
        if (paths != NULL) {
            paths[i] = arena_strdup(a, path);
        }
    }
    return 0;
}

static int op_volumes_mount(struct pod *p, struct error *err)
{
    return mount_all(agent_pod_of(p), NULL, NULL, err);
}

/* What cannot be updated now (a ConfigMap that has vanished) keeps its old content, as with the kubelet. */
static void op_volumes_update(struct pod *p)
{
    struct agent *agent = agent_of(p);
    struct podspec_facts facts = facts_of(p);
    for (unsigned i = 0; i < p->spec->volumes_count; i++) {
        const struct podspec_volume *v = &p->spec->volumes[i];
        struct volume_file *files;
        unsigned count;
        bool secret, changed = false;
        CLEANUP_ARENA struct arena a;
        struct error err;
        arena_init(&a);
        if (!podspec_volume_is_files(v) ||
            podspec_volume_files(p->spec, v, &facts, &a, &files, &count, &secret, &err) != 0) {
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
        pod_event(c->pod, c, false, "Pulled", "Container image \"%s\" already present on machine", c->spec->image);
    }
    container_on_image(c, "", NULL);
    if (c->state != CONTAINER_STARTING) {
        drop_image(c);
    }
}

static void op_image_ensure(struct container *c)
{
    image_ensure(agent_of(c->pod)->images, c->spec->image,
                 image_policy_of(str_of(c->spec->pull_policy), c->spec->image), on_image, c);
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

static int make_mounts(struct container *c, struct arena *a, const char *const *env, struct mounts *out,
                       struct error *err)
{
    struct agent_pod *ap = agent_pod_of(c->pod);
    const struct podspec *spec = c->pod->spec;
    const char **paths = arena_alloc(a, (spec->volumes_count + 1) * sizeof *paths);
    int rv = mount_all(ap, a, paths, err);
    out->items = arena_alloc(a, (c->spec->mounts_count + 1) * sizeof *out->items);
    for (unsigned i = 0; rv == 0 && i < c->spec->mounts_count; i++) {
        const struct podspec_mount *m = &c->spec->mounts[i];
        int v = find_volume(spec, m->name);
        if (v < 0) {
            return error_set(err, ERR_INVALID, "container %s mounts volume \"%s\", which the pod does not have",
                             c->spec->name, m->name);
        }
        bool files = podspec_volume_is_files(&spec->volumes[v]);
        const char *source = paths[v];
        if (m->sub_path[0] != '\0') {
            char key[128], sub[VOLUME_PATH_MAX];
            const char *below = m->sub_path_is_expr ? podspec_expand(a, m->sub_path, env) : m->sub_path;
            snprintf(key, sizeof key, "%s-%u", c->spec->name, i);
            rv = volume_sub_path(ap->agent->volumes, ap->uid, key, source, below, files, sub, err);
            source = arena_strdup(a, rv == 0 ? sub : "");
        }
        out->items[out->count++] = (struct runtime_mount){
            .source = source, .target = m->path, .read_only = m->read_only || files, .propagation = m->propagation};
    }
    return rv;
}

static void on_started(const struct runtime_started *r, void *data)
{
    struct container *c = data;
    drop_image(c);
    container_on_started(c, r);
}

static int op_start(struct container *c, struct error *err)
{
    struct agent_pod *ap = agent_pod_of(c->pod);
    struct agent *agent = ap->agent;
    const struct podspec *spec = c->pod->spec;
    struct podspec_facts facts = facts_of(c->pod);
    struct podspec_resolved resolved;
    struct mounts mounts = {0};
    struct runtime_spec rs;
    char cgroup[CGROUP_PATH_MAX], log_path[LOGFILE_PATH_MAX];
    struct cgroup_limits limits = limits_of(c->pod);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);

    int rv = podspec_resolve(spec, c->spec, &facts, &a, &resolved, err);
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
    rs.attempt = attempt;
    rs.image = c->image;
    rs.command = resolved.command;
    rs.args = resolved.args;
    rs.env = resolved.env;
    rs.cwd = c->spec->cwd;
    rs.sandbox = ap->sandbox;
    rs.host_pid = spec->host_pid;
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

/* ---- Ends ---- */

static void ignore_done(const struct error *error, void *data)
{
    struct agent *a = data;
    a->pending--;
    if (error != NULL && error->code != ERR_NOT_FOUND && error->code != ERR_CANCELED) {
        log_debug(a->log, "pod", "%s", error->message);
    }
}

static int signal_of(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"TERM", SIGTERM}, {"QUIT", SIGQUIT}, {"INT", SIGINT},     {"HUP", SIGHUP},  {"KILL", SIGKILL},
                   {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"WINCH", SIGWINCH}, {"ABRT", SIGABRT}};
    int n = atoi(name);
    if (n > 0 && n < 65) {
        return n;
    }
    if (strncmp(name, "RTMIN+", 6) == 0 || strncmp(name, "SIGRTMIN+", 9) == 0) {
        return SIGRTMIN + atoi(strchr(name, '+') + 1);
    }
    const char *bare = strncmp(name, "SIG", 3) == 0 ? name + 3 : name;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (strcmp(bare, signals[i].name) == 0) {
            return signals[i].number;
        }
    }
    return SIGTERM;
}

static int stop_signal(struct agent *a, const struct container *c)
{
    struct image *im = c->image_id == NULL ? NULL : image_find(a->images, c->image_id);
    int signal = im == NULL || im->stop_signal[0] == '\0' ? SIGTERM : signal_of(im->stop_signal);
    if (im != NULL) {
        image_unref(im);
    }
    return signal;
}

struct kill_call {
    struct agent *agent;
    char id[RUNTIME_ID_MAX], uid[64], name[64];
};

/* A container the runtime does not know any more will send no end: make one. */
static void on_killed(const struct error *error, void *data)
{
    struct kill_call *k = data;
    struct agent_pod *ap = strmap_get(&k->agent->pods, str_of(k->uid));
    struct container *c = ap == NULL || ap->pod == NULL ? NULL : pod_find(ap->pod, str_of(k->name));
    k->agent->pending--;
    char id[RUNTIME_ID_MAX] = "";
    if (c != NULL) {
        container_id(c, c->attempt, id);
    }
    if (error != NULL && error->code == ERR_NOT_FOUND && strcmp(id, k->id) == 0) {
        struct runtime_status st = {.id = id,
                                    .attempt = c->attempt,
                                    .exit_code = 137,
                                    .reason = "ContainerStatusUnknown",
                                    .message = "The container could not be located when the pod was terminated",
                                    .started_ms = c->started_wall_ms};
        container_on_exit(c, &st);
    } else if (error != NULL && error->code != ERR_CANCELED) {
        log_warn(k->agent->log, "pod", "stop %s: %s", k->id, error->message);
    }
    free(k);
}

static void op_kill(struct container *c, bool force)
{
    struct agent *a = agent_of(c->pod);
    struct kill_call *k = xcalloc(1, sizeof *k);
    k->agent = a;
    snprintf(k->uid, sizeof k->uid, "%s", c->pod->spec->uid);
    snprintf(k->name, sizeof k->name, "%s", c->spec->name);
    container_id(c, c->attempt, k->id);
    a->pending++;
    runtime_kill(a->runtime, k->id, force ? SIGKILL : stop_signal(a, c), on_killed, k);
}

static void op_forget(struct container *c, unsigned attempt)
{
    struct agent *a = agent_of(c->pod);
    char id[RUNTIME_ID_MAX];
    container_id(c, attempt, id);
    a->pending++;
    runtime_remove(a->runtime, id, ignore_done, a);
    logfile_remove_old(a->logs_dir, c->pod->spec->ns, c->pod->spec->name, c->pod->spec->uid, c->spec->name,
                       attempt + 1);
}

void podops_on_exit(const struct runtime_status *st, void *data)
{
    struct agent *a = data;
    struct agent_pod *ap = strmap_get(&a->pods, str_of(st->pod_uid));
    serve_container_ended(a, st->pod_uid, st->name, st->attempt);
    struct container *c = ap == NULL || ap->pod == NULL ? NULL : pod_find(ap->pod, str_of(st->name));
    if (c != NULL) {
        container_on_exit(c, st);
    }
}

/* ---- Hooks and probes ---- */

struct check {
    struct container *container;
    unsigned token;
    int which; /* probe; -1 = hook */
    uv_timer_t timer;
};

static void answer_check(struct check *k, bool ok, const char *message)
{
    if (k->which < 0) {
        container_on_hook(k->container, k->token, ok, message);
    } else {
        container_on_probe(k->container, k->which, k->token, ok, message);
    }
    free(k);
}

static void on_check(bool ok, const char *message, void *data)
{
    answer_check(data, ok, message);
}

/* The output is the program's own; the kubelet shows it in the event as well. */
static void on_check_exec(const struct runtime_exec_result *r, void *data)
{
    struct check *k = data;
    char message[300];
    if (r->error != NULL) {
        snprintf(message, sizeof message, "%.290s", r->error->message);
    } else {
        struct str out = r->output;
        while (out.n > 0 && (out.p[out.n - 1] == '\n' || out.p[out.n - 1] == ' ')) {
            out.n--;
        }
        out.n = MIN(out.n, 200);
        snprintf(message, sizeof message, "command exited with %d%s%.*s", r->exit_code, out.n > 0 ? ": " : "",
                 STR_ARG(out));
    }
    answer_check(k, r->error == NULL && r->exit_code == 0, message);
}

static void on_slept(uv_handle_t *h)
{
    answer_check(h->data, true, "");
}

static void on_sleep_over(uv_timer_t *t)
{
    uv_close((uv_handle_t *)t, on_slept);
}

static void check_unsupported(void *data)
{
    answer_check(data, false, "gRPC probes are not supported by this agent; use httpGet, tcpSocket or exec");
}

static void check_passed(void *data)
{
    answer_check(data, true, "");
}

static void run_check(struct container *c, int which, const struct podspec_handler *h, int64_t timeout_ms)
{
    struct agent *a = agent_of(c->pod);
    struct check *k = xcalloc(1, sizeof *k);
    k->container = c;
    k->token = c->token;
    k->which = which;
    char id[RUNTIME_ID_MAX];
    switch (h->kind) {
    case PODSPEC_HANDLER_EXEC:
        container_id(c, c->attempt, id);
        runtime_exec(a->runtime, id, h->argv, timeout_ms, on_check_exec, k);
        break;
    case PODSPEC_HANDLER_SLEEP:
        uv_timer_init(a->loop, &k->timer);
        k->timer.data = k;
        uv_timer_start(&k->timer, on_sleep_over, (uint64_t)h->sleep_ms, 0);
        break;
    case PODSPEC_HANDLER_HTTP:
    case PODSPEC_HANDLER_TCP:
        if (a->hollow) { /* nobody is there to answer */
            defer_call(a->loop, check_passed, k);
        } else {
            prober_run(a->loop, h, c->pod->ip, timeout_ms > 0 ? timeout_ms : 30000, on_check, k);
        }
        break;
    default:
        defer_call(a->loop, check_unsupported, k);
    }
}

static void op_hook(struct container *c, const struct podspec_handler *h, int64_t timeout_ms)
{
    run_check(c, -1, h, timeout_ms);
}

static void op_probe(struct container *c, int which)
{
    const struct podspec_probe *p = &c->spec->probes[which];
    run_check(c, which, &p->handler, p->timeout_ms);
}

/* ---- Giving back ---- */

struct removal {
    struct pod *pod;
    unsigned left;
    struct error error;
};

static void on_container_removed(const struct error *error, void *data)
{
    struct removal *r = data;
    if (error != NULL && error->code != ERR_NOT_FOUND) {
        r->error = *error;
    }
    if (--r->left == 0) {
        pod_on_clean(r->pod, r->error.code == 0 ? NULL : &r->error);
        free(r);
    }
}

static void no_container(void *data)
{
    on_container_removed(NULL, data);
}

static void clean_containers(struct pod *p)
{
    struct agent *a = agent_of(p);
    struct removal *r = xcalloc(1, sizeof *r);
    char ids[PODSPEC_CONTAINERS_MAX * 4][RUNTIME_ID_MAX];
    unsigned count = 0, cursor = 0;
    struct runtime_status st;
    while (count < ARRAY_SIZE(ids) && runtime_next(a->runtime, &cursor, &st)) {
        if (strcmp(st.pod_uid, p->spec->uid) == 0) {
            snprintf(ids[count++], RUNTIME_ID_MAX, "%s", st.id);
        }
    }
    r->pod = p;
    r->left = count + (count == 0);
    if (count == 0) {
        defer_call(a->loop, no_container, r);
    }
    for (unsigned i = 0; i < count; i++) {
        runtime_remove(a->runtime, ids[i], on_container_removed, r);
    }
}

static void on_cleaned(const struct error *error, void *data)
{
    pod_on_clean(data, error);
}

static void nothing_to_clean(void *data)
{
    pod_on_clean(data, NULL);
}

static void op_clean(struct pod *p, enum pod_clean step)
{
    struct agent *a = agent_of(p);
    struct agent_pod *ap = agent_pod_of(p);
    switch (step) {
    case POD_CLEAN_CONTAINERS:
        clean_containers(p);
        break;
    case POD_CLEAN_NETWORK:
        if (p->spec->host_network || ap->sandbox == NULL) {
            defer_call(a->loop, nothing_to_clean, p);
        } else {
            network_del(a->network, ap->uid, ap->sandbox->net, on_cleaned, p);
        }
        break;
    case POD_CLEAN_SANDBOX:
        free(TAKE_PTR(ap->sandbox));
        sandbox_remove(a->sandboxes, ap->uid, on_cleaned, p);
        break;
    case POD_CLEAN_VOLUMES:
        volume_remove_pod(a->volumes, ap->uid, on_cleaned, p);
        break;
    case POD_CLEAN_CGROUP:
        cgroup_pod_remove(a->cgroup, ap->uid, on_cleaned, p);
        break;
    default:
        if (!a->hollow) {
            logfile_remove_pod(a->logs_dir, ap->ns, ap->name, ap->uid, NULL);
        }
        defer_call(a->loop, nothing_to_clean, p);
    }
}

/* ---- Telling ---- */

static void op_event(struct pod *p, const struct container *c, bool warning, const char *reason, const char *message)
{
    char path[160];
    if (c != NULL) {
        snprintf(path, sizeof path, "spec.%s{%s}", c->spec->is_init ? "initContainers" : "containers", c->spec->name);
    }
    struct report_event e = {.ns = p->spec->ns,
                             .pod = p->spec->name,
                             .uid = p->spec->uid,
                             .warning = warning,
                             .field_path = c == NULL ? NULL : path,
                             .reason = reason,
                             .message = message};
    report_event(agent_of(p)->report, &e);
}

static void op_journal(struct pod *p, const struct container *c, const char *what, const char *why)
{
    bool exited = c != NULL && c->end.set;
    struct journal_entry e = {
        .event = what,
        .ns = p->spec->ns,
        .pod = p->spec->name,
        .uid = p->spec->uid,
        .container = c == NULL ? NULL : c->spec->name,
        .attempt = c == NULL ? 0 : c->attempt,
        .why = why,
        .exit_code = exited ? c->end.exit_code : -1,
    };
    journal_write(agent_of(p)->journal, &e);
}

static void op_changed(struct pod *p)
{
    struct agent_pod *ap = agent_pod_of(p);
    if (!ap->gone && !p->status_frozen) {
        report_dirty(ap->agent->report, &ap->report);
    }
}

static void arm(struct agent *a, int64_t at_ms)
{
    if (at_ms < a->wake_ms && !a->stopping) {
        a->wake_ms = at_ms;
        uv_timer_start(&a->wake, podops_on_wake, (uint64_t)MAX(at_ms - env_now_ms(a->env), 0), 0);
    }
}

static void op_wake(struct pod *p)
{
    arm(agent_of(p), pod_deadline(p));
}

void podops_on_wake(uv_timer_t *t)
{
    struct agent *a = t->data;
    int64_t now = env_now_ms(a->env), next = INT64_MAX;
    const struct strmap_entry *e;
    a->wake_ms = now; /* ticks re-arm nothing: the next time is found below */
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (ap->pod != NULL && !ap->gone && pod_deadline(ap->pod) <= now) {
            pod_tick(ap->pod, now);
        }
    }
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (ap->pod != NULL && !ap->gone) {
            next = MIN(next, pod_deadline(ap->pod));
        }
    }
    a->wake_ms = INT64_MAX;
    if (next != INT64_MAX) {
        arm(a, next);
    }
}

static void op_gone(struct pod *p)
{
    struct agent_pod *ap = agent_pod_of(p);
    ap->gone = true;
    report_gone(ap->agent->report, &ap->report);
}

void podops_sandbox_paths(struct agent_pod *ap)
{
    struct sandbox sb;
    if (sandbox_find(ap->agent->sandboxes, ap->uid, &sb)) {
        free(ap->sandbox);
        ap->sandbox = xmemdup(&sb, sizeof sb);
    }
}

const struct pod_ops podops = {
    .sandbox_make = op_sandbox_make,
    .network_add = op_network_add,
    .clean = op_clean,
    .volumes_mount = op_volumes_mount,
    .volumes_update = op_volumes_update,
    .image_ensure = op_image_ensure,
    .start = op_start,
    .kill = op_kill,
    .forget = op_forget,
    .hook = op_hook,
    .probe = op_probe,
    .event = op_event,
    .journal = op_journal,
    .changed = op_changed,
    .wake = op_wake,
    .gone = op_gone,
};
