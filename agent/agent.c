#include "agent/agent.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/accounts.h"
#include "agent/address.h"
#include "agent/agent_int.h"
#include "agent/dataplane.h"
#include "agent/images.h"
#include "agent/isolation.h"
#include "agent/kept.h"
#include "agent/meter.h"
#include "agent/names.h"
#include "agent/network/guard.h"
#include "agent/node.h"
#include "agent/pod/claims.h"
#include "agent/pod/locals.h"
#include "agent/pod/podops.h"
#include "agent/pod/refs_kept.h"
#include "agent/registries.h"
#include "agent/routes.h"
#include "agent/serve/serve.h"
#include "agent/serve/stream.h"
#include "agent/util/defer.h"
#include "agent/util/fsutil.h"
#include "agent/util/instance.h"
#include "agent/util/userns.h"
#include "base/file_lock.h"

#define MASTERS_BYTES_MAX (16u << 10)

/* ---- Orders ---- */

static void on_ready(struct mp result, void *data)
{
    struct agent *a = data;
    struct error err;
    struct str cidr = mp_str(mp_path(result, "object.spec.podCIDR"));
    char text[64];
    snprintf(text, sizeof text, "%.*s", STR_ARG(cidr));
    if (text[0] != '\0' && !a->hollow && network_set_pod_cidr(a->network, text, &err) != 0) {
        log_error(a->log, "agent", "%s", err.message);
    }
    isolation_on_masters(a, mp_bool(mp_get(result, "policies"), false));
    pods_set_node(a, mp_get(result, "object"));
    report_on_ready(a->report);
    accounts_on_masters(a, true);
    meter_set_period(a->meter, mp_int(mp_get(result, "usageMs"), 0)); /* an older leader takes none */
    meter_tell_services(a->meter, mp_bool(mp_get(result, "usageServices"), false));
}

static void on_lost(void *data)
{
    struct agent *a = data;
    report_on_lost(a->report);
    accounts_on_masters(a, false);
    kept_now(a);
    address_look(a);
}

static void on_list_begin(enum session_stream which, void *data)
{
    struct agent *a = data;
    if (which == SESSION_PODS) {
        pods_list_begin(a);
    } else {
        refs_list_begin(a->refs);
    }
}

static void on_ref_dropped(const struct object *o, void *data)
{
    struct agent *a = data;
    if (a->refs_kept != NULL) {
        refs_kept_delete(a->refs_kept, o->kind->id, o->ns, o->name);
    }
    pods_refs_changed(a, o);
}

static void on_ref(struct agent *a, enum session_change change, struct object *o)
{
    bool deleted = change == SESSION_DELETED;
    if (deleted ? !refs_delete(a->refs, o->kind->id, o->ns, o->name) : !refs_put(a->refs, o)) {
        return;
    }
    if (a->refs_kept != NULL && deleted) {
        refs_kept_delete(a->refs_kept, o->kind->id, o->ns, o->name);
    } else if (a->refs_kept != NULL) {
        refs_kept_put(a->refs_kept, o);
    }
    pods_refs_changed(a, o);
}

static void on_object(enum session_stream which, enum session_change change, struct object *o, void *data)
{
    struct agent *a = data;
    if (which == SESSION_PODS) {
        pods_on_object(a, change, o);
    } else {
        on_ref(a, change, o);
    }
}

static void on_list_end(enum session_stream which, void *data)
{
    struct agent *a = data;
    if (which == SESSION_PODS) {
        pods_list_end(a);
        return;
    }
    bool first = !refs_synced(a->refs);
    refs_list_end(a->refs, on_ref_dropped, a);
    if (a->refs_kept != NULL) {
        refs_kept_whole(a->refs_kept);
    }
    if (first) {
        pods_refs_changed(a, NULL); /* now absence means something */
    }
}

static void on_routes(struct mp message, void *data)
{
    struct agent *a = data;
    struct str pod_subnet = mp_str(mp_get(message, "podSubnet")); /* empty from an older master */
    if (a->own_cluster_cidr) {
        pod_subnet = STR_NONE;
    } else if (!str_empty(pod_subnet)) {
        network_set_cluster_cidr(a->network, pod_subnet);
    }
    kept_set_ranges(a, mp_str(mp_get(message, "dnsDomain")), mp_str(mp_get(message, "serviceSubnet")), pod_subnet);
    kept_set_overlay(a, mp_str(mp_get(message, "podRouting")), mp_int(mp_get(message, "vxlanID"), 0),
                     mp_int(mp_get(message, "vxlanPort"), 0));
    kept_set_pods_act(a, mp_str(mp_get(message, "podTokens")));
    routes_told(a, message);
    kept_changed(a);
}

static void on_services(struct mp message, void *data)
{
    dataplane_told(data, message);
    kept_changed(data);
}

static void on_policies(struct mp message, void *data)
{
    isolation_told(data, message);
    kept_policies_changed(data);
}

/* ---- Masters ---- */

/* Kept for the next start: those of the configuration may all have been replaced by then. One a line. */
static void on_masters(struct mp masters, void *data)
{
    struct agent *a = data;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct error err = {0};
    char path[AGENT_PATH_MAX];
    for (struct mp_iter it = mp_iter(masters); mp_next(&it);) {
        buf_append_str(&text, mp_str(it.value));
        buf_putc(&text, '\n');
    }
    if (a->guard != NULL) {
        for (struct mp_iter it = mp_iter(masters); mp_next(&it);) {
            guard_add(a->guard, mp_str(it.value));
        }
    }
    fs_path(path, sizeof path, "%s/masters", a->dir);
    if (fs_write_file(path, buf_str(&text), 0600, false, &err) != 0) {
        log_warn(a->log, "agent", "the list of masters is not kept: %s", err.message);
    }
}

static const char *const *read_masters(struct agent *a, struct arena *ar)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    char path[AGENT_PATH_MAX];
    unsigned count = 0;
    fs_path(path, sizeof path, "%s/masters", a->dir);
    if (fs_read_file(path, MASTERS_BYTES_MAX, &text, NULL) != 0) {
        return NULL;
    }
    const char **out = arena_alloc(ar, (SESSION_LINKS_MAX + 1) * sizeof *out);
    char *all = arena_strndup(ar, text.size == 0 ? "" : (const char *)text.data, text.size), *rest = NULL;
    for (char *line = strtok_r(all, "\n", &rest); line != NULL && count < SESSION_LINKS_MAX;
         line = strtok_r(NULL, "\n", &rest)) {
        out[count++] = line;
    }
    out[count] = NULL;
    return out;
}

/* ---- Timers ---- */

#define TRIM_PODS   20u /* have gone since memory was last given back */
#define FLOWS_EVERY 3u  /* checks: it takes a program, or lists of the kernel */

/* No master has said in time what is wanted: what was here goes on as it was, as it would have if agent and machine had
 * not been started anew. */
static void begin_alone(struct agent *a)
{
    if (a->synced || a->alone || a->asked_ms == 0 || a->hollow || env_now_ms(a->env) - a->asked_ms < AGENT_ALONE_MS) {
        return;
    }
    a->alone = true;
    log_warn(a->log, "agent", "no master has told which pods are wanted: those that were here go on");
    if (a->refs_whole && !refs_synced(a->refs)) {
        refs_assume_whole(a->refs);
        pods_refs_changed(a, NULL);
    }
    accounts_alone(a);
    pods_begin_alone(a);
}

/* What pods took that have gone lies between what is kept, and the allocator keeps it. */
static void give_memory_back(struct agent *a)
{
    if (a->pods_dropped >= TRIM_PODS) {
        a->pods_dropped = 0;
        malloc_trim(0);
    }
}

static void on_check(uv_timer_t *t)
{
    struct agent *a = t->data;
    locals_look(a);
    address_look(a);
    if (node_check(a)) {
        report_node_dirty(a->report);
    }
    begin_alone(a);
    names_check(a);
    kept_check(a);
    registries_look(a);
    images_check(a);
    locals_check(a);
    accounts_check(a);
    pods_on_pressure(a);
    pods_check_short(a);
    pods_admit_waiting(a);
    pods_check_pids(a);
    give_memory_back(a);
    if (++a->checks % FLOWS_EVERY == 0) {
        pods_check_flows(a);
        network_check_peers(a->network);
    }
}

/* ---- Opening ---- */

/* Two agents on one directory would fight over its containers. */
static int lock_dir(struct agent *a, struct error *err)
{
    char path[AGENT_PATH_MAX];
    fs_path(path, sizeof path, "%s/lock", a->dir);
    a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (a->lock_fd < 0) {
        return error_set_errno(err, errno, "cannot write to the agent's directory %s", a->dir);
    }
    if (!file_lock(a->lock_fd)) {
        return error_set(err, ERR_BUSY, "another agent runs with the directory %s", a->dir);
    }
    return 0;
}

static int open_hollow(struct agent *a, const struct agent_config *c, const struct runtime_events *events)
{
    char cidr[64];
    snprintf(cidr, sizeof cidr, "10.%u.%u.0/24", 100 + (c->hollow_index >> 8) % 100, c->hollow_index & 255);
    a->runtime = runtime_hollow_new(a->loop, events);
    a->images = image_store_hollow_new(a->loop);
    a->sandboxes = sandbox_store_hollow_new(a->loop);
    a->network = network_hollow_new(a->loop, cidr);
    a->volumes = volume_store_hollow_new(a->loop);
    a->cgroup = cgroup_hollow_new(a->loop);
    return 0;
}

static int open_real(struct agent *a, const struct agent_config *c, const struct runtime_events *events,
                     struct error *err)
{
    CLEANUP_ARENA struct arena ar;
    arena_init(&ar);
#define BELOW(base, name) arena_printf(&ar, "%s/%s", (base), (name))
    a->own_cluster_cidr = c->cluster_cidr != NULL;
    struct network_config net = {.dir = BELOW(a->dir, "network"),
                                 .cluster_cidr = c->cluster_cidr != NULL ? c->cluster_cidr : AGENT_CLUSTER_CIDR,
                                 .pod_connections = c->pod_connections,
                                 .node_ip = a->node_ip,
                                 .log = a->log};
    if (c->registries != NULL && !fs_exists(c->registries)) {
        return error_set(err, ERR_NOT_FOUND, "%s: there is no such file of registries", c->registries);
    }
    int rv = image_store_new(a->loop, BELOW(a->dir, "images"), a->log, &a->images, err);
    rv = rv != 0 ? rv
                 : registries_open(a, c->registries != NULL ? c->registries : BELOW(a->dir, "registries.yaml"), err);
    rv = rv != 0 ? rv
                 : cgroup_new(a->loop, NULL, c->cgroup_parent != NULL ? c->cgroup_parent : "reeve", a->log, &a->cgroup,
                              err);
    rv = rv != 0 ? rv : sandbox_store_new(a->loop, BELOW(c->run_dir, "sandboxes"), a->log, &a->sandboxes, err);
    rv = rv != 0 ? rv : volume_store_new(a->loop, BELOW(a->dir, "volumes"), a->log, &a->volumes, err);
    rv = rv != 0 ? rv : network_new(a->loop, &net, &a->network, err);
    struct runtime_crun_config rc = {.dir = BELOW(a->dir, "containers"),
                                     .run_dir = BELOW(c->run_dir, "crun"),
                                     .images = a->images,
                                     .log = a->log,
                                     .handlers = a->handlers,
                                     .handlers_count = a->handlers_count,
                                     .seccomp_dir = c->seccomp_dir != NULL ? c->seccomp_dir : BELOW(a->dir, "seccomp")};
    rv = rv != 0 ? rv : runtime_crun_new(a->loop, &rc, events, &a->runtime, err);
#undef BELOW
    return rv;
}

static int open_modules(struct agent *a, const struct agent_config *c, struct error *err)
{
    CLEANUP_ARENA struct arena ar;
    struct runtime_events events = {podops_on_exit, a};
    arena_init(&ar);
    /* Nobody but root passes: pods' files, Secrets among them, and root's setuid files of images lie below. */
    int rv = fs_make_private_dir(a->dir, err);
    rv = rv != 0 ? rv : fs_make_private_dir(arena_printf(&ar, "%s/pods", a->dir), err);
    rv = rv != 0 ? rv : lock_dir(a, err);
    rv = rv != 0 ? rv : instance_begin(a->dir, a->env, a->instance, err);
    rv =
        rv != 0 ? rv : journal_open(arena_printf(&ar, "%s/journal.jsonl", a->dir), 0, a->env, a->log, &a->journal, err);
    rv = rv != 0 || c->hollow ? rv : fs_make_private_dir(c->run_dir, err);
    return rv != 0 ? rv : c->hollow ? open_hollow(a, c, &events) : open_real(a, c, &events, err);
}

/* Those that are known before any of them has answered; they tell of the others (on_masters). */
static void open_guard(struct agent *a, const char *const *masters, const char *const *learnt)
{
    a->guard = guard_new(a->loop, a->network, kept_pods_act(a), a->log);
    for (; *masters != NULL; masters++) {
        guard_add(a->guard, str_of(*masters));
    }
    for (; learnt != NULL && *learnt != NULL; learnt++) {
        guard_add(a->guard, str_of(*learnt));
    }
}

static void open_session(struct agent *a, const struct agent_config *c)
{
    CLEANUP_ARENA struct arena ar;
    arena_init(&ar);
    const char *const *learnt = read_masters(a, &ar);
    if (!a->hollow && !c->pods_reach_masters) {
        open_guard(a, c->masters, learnt);
    }
    struct report_events report_events = {pods_write_status, node_write_status, pods_on_status_acked,
                                          pods_on_gone_acked};
    struct session_config session = {
        .loop = a->loop,
        .tls = c->tls,
        .renew = a->renew,
        .env = a->env,
        .log = a->log,
        .name = a->name,
        .instance = a->instance,
        .masters = c->masters,
        .learnt = learnt,
        .events = {.write_node = node_write,
                   .on_ready = on_ready,
                   .on_lost = on_lost,
                   .on_list_begin = on_list_begin,
                   .on_object = on_object,
                   .on_list_end = on_list_end,
                   .on_routes = on_routes,
                   .on_services = on_services,
                   .on_policies = on_policies,
                   .on_masters = on_masters,
                   .on_request = serve_request},
        .data = a,
    };
    a->report = report_new(a->loop, a->env, a->log, a->name, &report_events, a);
    a->session = session_new(&session);
    report_set_session(a->report, a->session);
}

static void set_pod_node(struct agent *a)
{
    a->pod_node = (struct pod_node){
        .ops = &podops,
        .env = a->env,
        .log = a->log,
        .facts = {.node_name = a->name,
                  .host_ip = a->node_ip,
                  .pod_ip = "",
                  .node_cpu_milli = a->facts.cpu_milli,
                  .node_memory_bytes = node_memory_for_pods(a),
                  .node_ephemeral_bytes = a->facts.disk_bytes,
                  .refs = a->refs,
                  .tokens = a->tokens},
        .runtime_name = a->runtime->ops->name,
        .data = a,
    };
}

static void abandon(struct agent *a);

/* Tried once: what the kernel and the file systems can do stays. */
static void open_userids(struct agent *a, const struct agent_config *c)
{
    CLEANUP_ARENA struct arena ar;
    struct error err = {0};
    uint32_t first = c->user_ids_first != 0 ? c->user_ids_first : USERIDS_FIRST;
    arena_init(&ar);
    a->userids = userids_new(first, c->user_ids_pods != 0 ? c->user_ids_pods : USERIDS_PODS);
    if (c->no_user_namespaces) {
        a->no_user_namespaces = xstrdup("the agent was started with --user-ids none");
    } else if (!a->hollow && userns_probe(a->dir, arena_printf(&ar, "%s/sandboxes", c->run_dir), first, &err) != 0) {
        a->no_user_namespaces = xstrdup(err.message);
        log_info(a->log, "agent", "pods with hostUsers false will be refused: %s", err.message);
    }
    podops_keep_userids(a);
}

static void limit_pods(struct agent *a)
{
    struct error err = {0};
    if (!a->hollow && cgroup_limit_all(a->cgroup, (uint64_t)node_memory_for_pods(a), node_pids_for_pods(), &err) != 0) {
        log_warn(a->log, "agent", "nothing of the machine is kept from the pods: %s", err.message);
    }
}

static void open_refs_kept(struct agent *a)
{
    char path[AGENT_PATH_MAX];
    fs_path(path, sizeof path, "%s/refs", a->dir);
    a->refs_kept = refs_kept_open(path, a->log);
    a->refs_whole = refs_kept_load(a->refs_kept, a->refs);
}

static void copy_handlers(struct agent *a, const struct agent_config *c)
{
    a->handlers = xcalloc(c->handlers_count + 1, sizeof *a->handlers);
    for (; a->handlers_count < c->handlers_count; a->handlers_count++) {
        const struct runtime_handler *h = &c->handlers[a->handlers_count];
        a->handlers[a->handlers_count] = (struct runtime_handler){xstrdup(h->name), xstrdup(h->path)};
    }
}

static void free_handlers(struct agent *a)
{
    for (unsigned i = 0; i < a->handlers_count; i++) {
        free((char *)a->handlers[i].name);
        free((char *)a->handlers[i].path);
    }
    free(a->handlers);
}

int agent_new(const struct agent_config *c, struct agent **out, struct error *err)
{
    struct agent *a = xcalloc(1, sizeof *a);
    a->loop = c->loop;
    a->env = c->env;
    a->log = c->log;
    a->container_ended = serve_container_ended;
    a->hollow = c->hollow;
    a->name = xstrdup(c->name);
    a->dir = xstrdup(c->dir);
    a->logs_dir = xasprintf("%s/logs", c->dir);
    a->images_dir = c->images_dir == NULL ? NULL : xstrdup(c->images_dir);
    a->image_gc = c->image_gc == NULL ? IMAGE_GC_DEFAULT : *c->image_gc;
    a->unsafe_sysctls = c->unsafe_sysctls == NULL ? NULL : xstrdup(c->unsafe_sysctls);
    copy_handlers(a, c);
    a->cut_ms = c->cut_ms == 0 ? AGENT_CUT_MS : c->cut_ms;
    a->pod_pids = c->pod_pids == 0 ? AGENT_POD_PIDS : MAX(c->pod_pids, 0);
    if (c->evict_at != NULL) {
        a->evict_at = *c->evict_at;
    } else {
        thresholds_default(&a->evict_at);
    }
    a->refs = refs_new();
    neighbours_init(&a->neighbours);
    a->wake_ms = INT64_MAX;
    a->lock_fd = -1;
    list_init(&a->readers);
    list_init(&a->streams);
    strmap_init(&a->pods);
    address_open(a, c->node_ip);
    uv_timer_init(a->loop, &a->wake);
    uv_timer_init(a->loop, &a->check);
    uv_timer_init(a->loop, &a->measure);
    a->wake.data = a->check.data = a->measure.data = a;
    int rv = open_modules(a, c, err);
    if (rv == 0 && c->certs_dir != NULL) {
        rv = renew_new(&(struct renew_config){a->env, a->log, c->certs_dir, a->name}, &a->renew, err);
    }
    if (rv != 0) {
        abandon(a);
        return rv;
    }
    struct stat st;
    a->disk = stat(a->dir, &st) == 0 ? st.st_dev : 0;
    node_read_facts(a, c->reserved_bytes);
    limit_pods(a);
    open_userids(a, c);
    rv = locals_open(a, c->local_volumes, c->local_bytes, err);
    if (rv != 0) {
        abandon(a);
        return rv;
    }
    a->claims = claims_new(a->volumes, a->log);
    volume_set_events(a->volumes, &(struct volume_events){pods_on_attached, pods_on_removed}, a);
    if (!a->hollow || c->hollow_tokens) {
        accounts_open(a);
    }
    set_pod_node(a);
    dataplane_open(a);
    isolation_open(a);
    names_open(a);
    kept_open(a);
    if (a->own_cluster_cidr) {
        kept_set_ranges(a, STR_NONE, STR_NONE, str_of(c->cluster_cidr));
    }
    open_session(a, c);
    a->meter = meter_new(a);
    if (!a->hollow) {
        open_refs_kept(a);
        pods_adopt(a);
    }
    *out = a;
    return 0;
}

/* ---- Running ---- */

static void start_session(struct agent *a)
{
    a->asked_ms = env_now_ms(a->env);
    session_start(a->session);
}

static void on_images_loaded(const struct image_loaded *r, void *data)
{
    struct agent *a = data;
    a->pending--;
    if (r->error != NULL && r->error->code != ERR_CANCELED) {
        log_warn(a->log, "agent", "images of %s: %s", a->images_dir, r->error->message);
    }
    log_info(a->log, "agent", "%u images loaded from %s", r->count, a->images_dir);
    if (!a->stopping) {
        report_node_dirty(a->report);
        start_session(a);
    }
}

/* With a directory of images the node registers when they are there: its first pods shall not wait out a back-off. */
void agent_start(struct agent *a)
{
    uv_timer_start(&a->check, on_check, AGENT_CHECK_MS, AGENT_CHECK_MS);
    if (a->images_dir != NULL && !a->hollow) {
        a->pending++;
        image_load_dir(a->images, a->images_dir, on_images_loaded, a);
    } else {
        start_session(a);
    }
}

void agent_get_stats(const struct agent *a, struct agent_stats *out)
{
    const struct strmap_entry *e;
    *out = (struct agent_stats){.connected = session_ready(a->session)};
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        out->pods++;
        out->running += ap->pod->state == POD_RUNNING;
    }
}

/* ---- Stopping: session, modules, images, answers outstanding, pods, report, timers, memory ---- */

#define DRAIN_MS 10

static void free_agent(struct agent *a)
{
    void (*cb)(void *data) = a->stop_cb;
    void *data = a->stop_data;
    journal_close(a->journal);
    renew_free(a->renew);
    claims_free(a->claims);
    registries_close(a);
    refs_free(a->refs);
    refs_kept_close(a->refs_kept);
    neighbours_close(&a->neighbours);
    userids_free(a->userids);
    free(a->no_user_namespaces);
    object_unref(a->node);
    strmap_close(&a->pods);
    if (a->lock_fd >= 0) {
        close(a->lock_fd);
    }
    free(a->name);
    free(a->dir);
    free(a->logs_dir);
    free(a->images_dir);
    free(a->unsafe_sysctls);
    free_handlers(a);
    free(a);
    if (cb != NULL) {
        cb(data);
    }
}

static void on_timer_closed(uv_handle_t *h)
{
    struct agent *a = h->data;
    if (--a->closing == 0) {
        free_agent(a);
    }
}

static void close_timers(struct agent *a)
{
    a->closing = 3;
    uv_close((uv_handle_t *)&a->wake, on_timer_closed);
    uv_close((uv_handle_t *)&a->check, on_timer_closed);
    uv_close((uv_handle_t *)&a->measure, on_timer_closed);
}

static void on_report_closed(void *data)
{
    close_timers(data);
}

static bool answers_outstanding(const struct agent *a)
{
    const struct strmap_entry *e;
    bool outstanding = a->pending > 0;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        outstanding = outstanding || ((struct agent_pod *)e->value)->pod->pending > 0;
    }
    return outstanding;
}

/* Probes in flight end by their own timeouts: the pods they belong to are kept until then. */
static void on_drain(uv_timer_t *t)
{
    struct agent *a = t->data;
    if (answers_outstanding(a)) {
        return;
    }
    uv_timer_stop(t);
    pods_close(a);
    if (a->report != NULL) {
        report_close(a->report, on_report_closed, a);
    } else {
        close_timers(a);
    }
}

static void drain(void *data)
{
    struct agent *a = data;
    uv_timer_start(&a->wake, on_drain, 0, DRAIN_MS);
}

/* Images last: containers hold references. */
static void on_module_closed(void *data)
{
    struct agent *a = data;
    if (--a->closing > 0) {
        return;
    }
    pods_drop_images(a);
    if (a->images != NULL) {
        image_store_close(a->images, drain, a);
    } else {
        drain(a);
    }
}

static void close_modules(struct agent *a)
{
    a->closing = 1;
    if (a->runtime != NULL) {
        a->closing++;
        runtime_close(a->runtime, on_module_closed, a);
    }
    if (a->sandboxes != NULL) {
        a->closing++;
        sandbox_store_close(a->sandboxes, on_module_closed, a);
    }
    if (a->guard != NULL) {
        guard_close(TAKE_PTR(a->guard));
    }
    if (a->network != NULL) {
        a->closing++;
        network_close(a->network, on_module_closed, a);
    }
    kept_close(a);
    a->closing += names_close(a, on_module_closed, a); /* before what it reads */
    a->closing += dataplane_close(a, on_module_closed, a);
    a->closing += isolation_close(a, on_module_closed, a);
    if (a->volumes != NULL) {
        a->closing++;
        volume_store_close(a->volumes, on_module_closed, a);
    }
    if (a->locals != NULL) {
        a->closing++;
        locals_close(a, on_module_closed, a);
    }
    if (a->meter != NULL) {
        a->closing++;
        meter_close(a->meter, on_module_closed, a);
    }
    a->closing += accounts_close(a, on_module_closed, a);
    if (a->cgroup != NULL) {
        a->closing++;
        cgroup_close(a->cgroup, on_module_closed, a);
    }
    defer_call(a->loop, on_module_closed, a);
}

static void on_session_stopped(void *data)
{
    struct agent *a = data;
    a->session = NULL;
    close_modules(a);
}

/* agent_new failed half way: give back what there is, without a callback, on the loop's next turns. */
static void abandon(struct agent *a)
{
    a->stopping = a->pod_node.stopping = true;
    close_modules(a);
}

void agent_stop(struct agent *a, void (*cb)(void *data), void *data)
{
    assert(!a->stopping);
    a->stopping = a->pod_node.stopping = true;
    a->stop_cb = cb;
    a->stop_data = data;
    uv_timer_stop(&a->wake);
    uv_timer_stop(&a->check);
    uv_timer_stop(&a->measure);
    serve_streams_close(a);
    session_stop(a->session, on_session_stopped, a);
}
