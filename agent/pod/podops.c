/* What pods ask of their node, done by the modules of this one: the only place where the machines of pod.h and
 * container.h meet processes, namespaces and files. Here: sandboxes, ends, giving back, telling. Volumes, images and
 * starts are in podops_start.c, hooks and probes in podops_check.c; where a sandbox lies is in podops_paths.c. Contexts
 * hold pointers to pods and containers: a pod lives until every answer it waits for has come. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/dataplane.h"
#include "agent/isolation.h"
#include "agent/names.h"
#include "agent/pod/handler.h"
#include "agent/pod/podops.h"
#include "agent/util/defer.h"
#include "agent/util/fsutil.h"
#include "base/failpoint.h"

#define RESOLV_CONF_MAX (64u << 10)

/* ---- Sandbox and network ---- */

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
        podops_place_holder(ap);
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

/* ---- User ids ---- */

void podops_keep_userids(struct agent *a)
{
    char uid[64];
    for (unsigned cursor = 0; sandbox_next(a->sandboxes, &cursor, uid);) {
        uint32_t first = sandbox_user_first(a->sandboxes, uid);
        if (first != 0) {
            userids_keep(a->userids, uid, first);
        }
    }
}

static bool has_group(struct agent *a, const char *uid)
{
    char other[64];
    for (unsigned cursor = 0; cgroup_pod_next(a->cgroup, &cursor, other);) {
        if (strcmp(other, uid) == 0) {
            return true;
        }
    }
    return false;
}

/* Of those that belonged to no pod any more when the agent came, as soon as nothing of them is left. */
static uint32_t take_userids(struct agent *a, const char *uid)
{
    const char *other;
    for (unsigned cursor = 0; (other = userids_next(a->userids, &cursor)) != NULL;) {
        if (strmap_get(&a->pods, str_of(other)) == NULL && sandbox_user_first(a->sandboxes, other) == 0 &&
            !has_group(a, other)) {
            userids_give(a->userids, other);
        }
    }
    return userids_take(a->userids, uid);
}

static int op_handler_find(struct pod *p, struct error *err)
{
    return handler_find(agent_pod_of(p), err);
}

static void op_sandbox_make(struct pod *p)
{
    struct agent *a = podops_agent(p);
    char path[CGROUP_PATH_MAX];
    struct cgroup_limits limits = podops_limits(p);
    struct error err;
    CLEANUP_ARENA struct arena arena;
    CLEANUP_BUF struct buf node_conf = BUF_INIT;
    arena_init(&arena);
    uint32_t user_first = p->spec->own_users ? take_userids(a, p->spec->uid) : 0;
    int rc = cgroup_pod_make(a->cgroup, p->spec->uid, &limits, path, &err);
    if (rc == 0 && p->spec->own_users && user_first == 0) {
        rc = error_set(&err, ERR_LIMIT,
                       "all user ids of this node for pods with hostUsers false are taken (--user-ids)");
    }
    if (rc != 0) {
        struct refused_sandbox *r = xmalloc(sizeof *r);
        *r = (struct refused_sandbox){p, err};
        defer_call(a->loop, refuse_sandbox, r);
        return;
    }
    struct sandbox_sysctl *sysctls = arena_alloc(&arena, (p->spec->sysctls_count + 1) * sizeof *sysctls);
    for (unsigned i = 0; i < p->spec->sysctls_count; i++) {
        sysctls[i] = (struct sandbox_sysctl){p->spec->sysctls[i].name, p->spec->sysctls[i].value};
    }
    if (!a->hollow && fs_read_file("/etc/resolv.conf", RESOLV_CONF_MAX, &node_conf, NULL) != 0) {
        buf_reset(&node_conf);
    }
    struct sandbox_spec spec = {
        .uid = p->spec->uid,
        .hostname = p->spec->hostname,
        .domain = p->spec->domain,
        .host_network = p->spec->host_network,
        .host_ipc = p->spec->host_ipc,
        .shared_pid = p->spec->shared_pid,
        .user_first = user_first,
        .fqdn = p->spec->fqdn_hostname,
        .sysctls = sysctls,
        .sysctls_count = p->spec->sysctls_count,
        .resolv_conf = podspec_resolv_conf(p->spec, buf_str(&node_conf), names_of_cluster(a), &arena),
    };
    sandbox_make(a->sandboxes, &spec, on_sandbox, p);
}

/* Only one that may begin has its address noted: a restarted agent makes the network of the others anew. */
static void on_isolated(const char *ip, const struct error *error, void *data)
{
    struct pod *p = data;
    struct agent_pod *ap = agent_pod_of(p);
    if (error == NULL) {
        set_ip(ap, ip);
        dataplane_pod_is_at(ap->agent, str_of(ap->uid), ip);
    }
    pod_on_network(p, ip, error);
}

static void on_network(const char *ip, const struct error *error, void *data)
{
    struct pod *p = data;
    if (error == NULL) {
        isolation_pod_comes(agent_pod_of(p), ip, on_isolated);
    } else {
        pod_on_network(p, ip, error);
    }
}

static void add_network(struct pod *p)
{
    struct agent *a = podops_agent(p);
    struct agent_pod *ap = agent_pod_of(p);
    struct network_port ports[NETWORK_PORTS_MAX];
    struct network_pod pod = {
        .uid = ap->uid, .name = ap->name, .ns = ap->ns, .netns = ap->sandbox->net, .wish = ap->wish, .ports = ports};
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

static void on_stale_network_gone(const struct error *error, void *data)
{
    struct pod *p = data;
    (void)error; /* if it is still in the way, adding says so */
    agent_pod_of(p)->stale_network = false;
    if (p->node->stopping) {
        p->pending--;
    } else {
        add_network(p);
    }
}

static void op_network_add(struct pod *p)
{
    struct agent_pod *ap = agent_pod_of(p);
    if (ap->stale_network) {
        network_del(ap->agent->network, ap->uid, ap->sandbox->net, on_stale_network_gone, p);
    } else {
        add_network(p);
    }
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
    } signals[] = {
        {"ABRT", SIGABRT}, {"ALRM", SIGALRM},   {"BUS", SIGBUS},   {"CHLD", SIGCHLD},     {"CONT", SIGCONT},
        {"FPE", SIGFPE},   {"HUP", SIGHUP},     {"ILL", SIGILL},   {"INT", SIGINT},       {"IO", SIGIO},
        {"IOT", SIGIOT},   {"KILL", SIGKILL},   {"PIPE", SIGPIPE}, {"POLL", SIGPOLL},     {"PROF", SIGPROF},
        {"PWR", SIGPWR},   {"QUIT", SIGQUIT},   {"SEGV", SIGSEGV}, {"STKFLT", SIGSTKFLT}, {"STOP", SIGSTOP},
        {"SYS", SIGSYS},   {"TERM", SIGTERM},   {"TRAP", SIGTRAP}, {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN},
        {"TTOU", SIGTTOU}, {"URG", SIGURG},     {"USR1", SIGUSR1}, {"USR2", SIGUSR2},     {"VTALRM", SIGVTALRM},
        {"XCPU", SIGXCPU}, {"WINCH", SIGWINCH}, {"XFSZ", SIGXFSZ}};
    int n = atoi(name);
    if (n > 0 && n < 65) {
        return n;
    }
    const char *bare = strncmp(name, "SIG", 3) == 0 ? name + 3 : name;
    if (strncmp(bare, "RTMIN", 5) == 0 || strncmp(bare, "RTMAX", 5) == 0) {
        int base = bare[3] == 'I' ? SIGRTMIN : SIGRTMAX, number = base + atoi(bare + 5);
        return number >= SIGRTMIN && number <= SIGRTMAX ? number : SIGTERM;
    }
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (strcmp(bare, signals[i].name) == 0) {
            return signals[i].number;
        }
    }
    return SIGTERM;
}

static int stop_signal(struct agent *a, const struct container *c)
{
    if (c->spec->stop_signal[0] != '\0') {
        return signal_of(c->spec->stop_signal);
    }
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
        container_runtime_id(c, c->attempt, id);
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
    struct agent *a = podops_agent(c->pod);
    struct kill_call *k = xcalloc(1, sizeof *k);
    k->agent = a;
    snprintf(k->uid, sizeof k->uid, "%s", c->pod->spec->uid);
    snprintf(k->name, sizeof k->name, "%s", c->spec->name);
    container_runtime_id(c, c->attempt, k->id);
    a->pending++;
    runtime_kill(a->runtime, k->id, force ? SIGKILL : stop_signal(a, c), on_killed, k);
}

static void op_forget(struct container *c, unsigned attempt)
{
    struct agent *a = podops_agent(c->pod);
    char id[RUNTIME_ID_MAX];
    container_runtime_id(c, attempt, id);
    a->pending++;
    runtime_remove(a->runtime, id, ignore_done, a);
    logfile_remove_old(a->logs_dir, c->pod->spec->ns, c->pod->spec->name, c->pod->spec->uid, c->spec->name,
                       attempt + 1);
}

/* terminationMessagePolicy FallbackToLogsOnError: the end of the log. The kubelet's bounds: 80 lines, 2048 bytes. */
#define LOG_MESSAGE_LINES 80u
#define LOG_MESSAGE_BYTES 2048u

static void read_log_end(const char *path, struct buf *out)
{
    char block[LOG_MESSAGE_BYTES * 4];
    FILE *f = fopen(path, "re");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        if (f != NULL) {
            fclose(f);
        }
        return;
    }
    long size = ftell(f), from = MAX(size - (long)sizeof block, 0);
    size_t n = fseek(f, from, SEEK_SET) == 0 ? fread(block, 1, sizeof block, f) : 0;
    fclose(f);
    unsigned lines = 0;
    for (const char *p = block, *end = block + n; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        struct str record = {p, (size_t)((newline == NULL ? end : newline) - p)};
        struct logfile_line line;
        if (logfile_parse(record, &line)) {
            buf_append_str(out, line.text);
            buf_puts(out, line.partial ? "" : "\n");
            lines++;
        }
        p = newline == NULL ? end : newline + 1;
    }
    const char *text = buf_cstr(out);
    for (const char *next; lines > LOG_MESSAGE_LINES && (next = strchr(text, '\n')) != NULL; lines--) {
        text = next + 1;
    }
    buf_consume(out, (size_t)(text - (const char *)out->data));
    buf_consume(out, out->size > LOG_MESSAGE_BYTES ? out->size - LOG_MESSAGE_BYTES : 0);
}

static void end_container(struct container *c, const struct runtime_status *st)
{
    struct runtime_status told = *st;
    CLEANUP_BUF struct buf end = BUF_INIT;
    bool silent = st->message == NULL || st->message[0] == '\0';
    if (c->spec->message_from_log && silent && st->exit_code != 0 && st->log_path != NULL) {
        read_log_end(st->log_path, &end);
        told.message = buf_cstr(&end);
    }
    container_on_exit(c, &told);
}

void podops_on_exit(const struct runtime_status *st, void *data)
{
    struct agent *a = data;
    struct agent_pod *ap = strmap_get(&a->pods, str_of(st->pod_uid));
    a->container_ended(a, st->pod_uid, st->name, st->attempt);
    struct container *c = ap == NULL || ap->pod == NULL ? NULL : pod_find(ap->pod, str_of(st->name));
    if (c != NULL) {
        end_container(c, st);
    }
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
    struct agent *a = podops_agent(p);
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

static void on_network_gone(const struct error *error, void *data)
{
    struct pod *p = data;
    if (error == NULL) {
        isolation_pod_left(agent_pod_of(p));
    }
    pod_on_clean(p, error);
}

/* Nobody is left who had them. */
static void on_group_gone(const struct error *error, void *data)
{
    struct pod *p = data;
    if (error == NULL) {
        userids_give(podops_agent(p)->userids, p->spec->uid);
    }
    pod_on_clean(p, error);
}

static void nothing_to_clean(void *data)
{
    pod_on_clean(data, NULL);
}

static void op_clean(struct pod *p, enum pod_clean step)
{
    struct agent *a = podops_agent(p);
    struct agent_pod *ap = agent_pod_of(p);
    failpoint(FAILPOINT_pod_before_clean);
    pods_drop_tokens(ap);
    switch (step) {
    case POD_CLEAN_CONTAINERS:
        clean_containers(p);
        break;
    case POD_CLEAN_NETWORK:
        /* Also without a sandbox: its namespace may be gone (a power cut) and its address still be leased. */
        network_del(a->network, ap->uid, ap->sandbox == NULL ? "" : ap->sandbox->net, on_network_gone, p);
        break;
    case POD_CLEAN_SANDBOX:
        free(TAKE_PTR(ap->sandbox));
        sandbox_remove(a->sandboxes, ap->uid, on_cleaned, p);
        break;
    case POD_CLEAN_VOLUMES:
        (p->clean_tries + 1 < POD_CLEAN_TRIES ? volume_remove_pod : volume_force_remove_pod)(a->volumes, ap->uid,
                                                                                             on_cleaned, p);
        break;
    case POD_CLEAN_CGROUP:
        cgroup_pod_remove(a->cgroup, ap->uid, on_group_gone, p);
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
        snprintf(path, sizeof path, "spec.%s{%s}",
                 c->spec->is_init        ? "initContainers"
                 : c->spec->is_ephemeral ? "ephemeralContainers"
                                         : "containers",
                 c->spec->name);
    }
    struct report_event e = {.ns = p->spec->ns,
                             .pod = p->spec->name,
                             .uid = p->spec->uid,
                             .warning = warning,
                             .field_path = c == NULL ? NULL : path,
                             .reason = reason,
                             .message = message};
    report_event(podops_agent(p)->report, &e);
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
    journal_write(podops_agent(p)->journal, &e);
}

static void op_leave(struct pod *p)
{
    struct agent_pod *ap = agent_pod_of(p);
    dataplane_pod_leaves(ap->agent, str_of(ap->uid));
}

static void arm(struct agent *a, int64_t at_ms)
{
    if (at_ms < a->wake_ms && !a->stopping) {
        a->wake_ms = at_ms;
        uv_timer_start(&a->wake, podops_on_wake, (uint64_t)MAX(at_ms - env_now_ms(a->env), 0), 0);
    }
}

static void op_changed(struct pod *p)
{
    struct agent_pod *ap = agent_pod_of(p);
    struct agent *a = ap->agent;
    if (p->preempted && p->state >= POD_CLEANING &&
        !a->room_came) { /* whoever needed its room looks, but not in here */
        a->room_came = true;
        arm(a, env_now_ms(a->env));
    }
    if (!ap->gone && !p->status_frozen) {
        report_dirty(ap->agent->report, &ap->report);
    }
}

void podops_node_ip_changed(struct agent *a)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        struct pod *p = ap->pod;
        if (ap->gone) {
            continue;
        }
        if (p->spec->host_network) {
            snprintf(p->ip, sizeof p->ip, "%s", a->node_ip);
            if (ap->sandbox != NULL && p->state < POD_CLEANING) {
                set_ip(ap, a->node_ip);
            }
        }
        op_changed(p);
    }
}

static void op_wake(struct pod *p)
{
    arm(podops_agent(p), pod_deadline(p));
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
    if (a->room_came) {
        a->room_came = false;
        pods_admit_waiting(a);
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
    failpoint(FAILPOINT_pod_after_clean);
    ap->gone = true;
    report_gone(ap->agent->report, &ap->report);
}

const struct pod_ops podops = {
    .handler_find = op_handler_find,
    .sandbox_make = op_sandbox_make,
    .network_add = op_network_add,
    .clean = op_clean,
    .volumes_mount = podops_volumes_mount,
    .volumes_update = podops_volumes_update,
    .leave = op_leave,
    .image_ensure = podops_image_ensure,
    .pull_lacks = podops_pull_lacks,
    .start = podops_start,
    .kill = op_kill,
    .forget = op_forget,
    .hook = podops_hook,
    .probe = podops_probe,
    .event = op_event,
    .journal = op_journal,
    .changed = op_changed,
    .wake = op_wake,
    .gone = op_gone,
};
