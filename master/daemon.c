/* The daemon: builds the parts, turns the loop, takes them down in order.
 *
 * Shutdown order: listeners and sessions (no new work, all calls answered "unknown outcome" by the node's closing),
 * node, transport, disk. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/process.h"
#include "master/api/read.h"
#include "master/api/watch.h"
#include "master/auth/account_keys.h"
#include "master/auth/allowance.h"
#include "master/auth/audit_file.h"
#include "master/auth/authority.h"
#include "master/auth/bearer.h"
#include "master/auth/certs.h"
#include "master/auth/identity.h"
#include "master/auth/principal.h"
#include "master/auth/rate.h"
#include "master/auth/reseal.h"
#include "master/auth/restrict.h"
#include "master/auth/revoked.h"
#include "master/auth/root_ca.h"
#include "master/auth/rotate.h"
#include "master/auth/secret_tokens.h"
#include "master/auth/user_call.h"
#include "master/background.h"
#include "master/daemon.h"
#include "master/discards.h"
#include "master/front/ask.h"
#include "master/front/audit.h"
#include "master/front/held.h"
#include "master/front/methods.h"
#include "master/front/parked.h"
#include "master/front/relay.h"
#include "master/front/sessions.h"
#include "master/master.h"
#include "master/members/change.h"
#include "master/members/join.h"
#include "master/members/level.h"
#include "master/members/members.h"
#include "master/members/removed.h"
#include "master/nodes/batch.h"
#include "master/nodes/feeds.h"
#include "master/nodes/lease.h"
#include "master/nodes/nodes.h"
#include "master/rescue/backup.h"
#include "master/rescue/repair.h"
#include "master/rest/kept.h"
#include "master/rest/rest.h"
#include "master/zones.h"
#include "proto/net/loop.h"
#include "proto/openapi/openapi.h"

#define READS_NS         6000000u /* of reads in a turn of the loop, for each listener: turns stay below 20 ms */
#define CHORES_MS        500
#define HASTE_MS         20   /* doubles until it is as slow as the chores */
#define FORGET_EVERY     120u /* chores */
#define TURNS_MAX        16
#define LET_GO_CHANGES   2000u /* with fewer since, a version of the state is freed on the loop */
#define LISTEN_FDS_START 3

/* ---- The turn ---- */

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* only keeps the loop from sleeping while deciders have work */
}

static void on_deadline(uv_timer_t *timer)
{
    (void)timer; /* the turn that follows does the work */
}

static int64_t thread_cpu_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + 1;
}

static void lap(struct master *m, enum lap part)
{
    int64_t now_us = master_clock_us();
    laps_part(&m->laps, part, now_us, laps_is_long(&m->laps, now_us) ? thread_cpu_us() : 0);
}

/* What waits for its turn. A part that has nothing to do asks no clock. True: there is more to do at once. */
static bool do_waiting(struct master *m)
{
    bool requests = turns_waiting(m->turns), more = turns_run(m->turns);
    if (requests) {
        lap(m, LAP_REQUESTS);
    }
    if (watch_table_waiting(m->watches)) {
        more |= watch_table_turn(m->watches);
        lap(m, LAP_WATCHES);
    }
    rest_turn(m);
    more |= nodes_turn(m);
    /* The routes of a large cluster, told to all of its agents at once, are more than connections may hold. */
    if (node_feeds_waiting(m->feeds) && held_has_room(m)) {
        more |= node_feeds_turn(m->feeds);
        lap(m, LAP_FEEDS);
    }
    return more;
}

static void turn(struct master *m)
{
    if (m->stopping || m->replica == NULL) {
        return;
    }
    bool waiting = do_waiting(m), more = true;
    held_look(m);
    int64_t end_ms = env_now_ms(m->env) + CORE_BUDGET_MS;
    for (int i = 0; more && i < TURNS_MAX && !m->stopping && (i == 0 || env_now_ms(m->env) < end_ms); i++) {
        more = core_turn(m->core);
        changes_turn(m);
    }
    lap(m, LAP_DECISIONS);
    if (m->stopping) {
        return;
    }
    if (replica_leading(m->replica)) {
        struct replica_stats stats;
        replica_stats(m->replica, &stats);
        transport_hint_commit(m->transport, replica_term(m->replica), stats.commit_index);
    }
    if (more || waiting || turns_could_go(m->turns)) { /* commits have made room */
        uv_idle_start(&m->idle, on_idle);
        return;
    }
    uv_idle_stop(&m->idle);
    int64_t at = core_next_deadline(m->core);
    if (at == INT64_MAX) {
        uv_timer_stop(&m->deadline);
    } else {
        int64_t wait = at - env_now_ms(m->env);
        uv_timer_start(&m->deadline, on_deadline, wait < 0 ? 0 : (uint64_t)wait, 0);
    }
}

static void on_check(uv_check_t *check)
{
    struct master *m = check->data;
    if (m->replica != NULL) { /* what had arrived was read just before */
        replica_attend(m->replica);
        core_attend(m->core);
    }
    lap(m, LAP_SOCKETS);
    turn(m);
}

/* What timers have left to do. While deciders have work the loop does not sleep, and the turn behind the sockets does
 * it all: so sockets are looked at after every turn. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct master *m = prepare->data;
    if (!uv_is_active((uv_handle_t *)&m->idle)) {
        lap(m, LAP_TIMERS);
        turn(m);
    }
    laps_end(&m->laps, thread_cpu_us(), master_clock_us());
    unsigned share_us = turns_share_us(laps_last_us(&m->laps)); /* of lists, and of writes of who has much to send */
    turns_set_share(m->turns, share_us);
    for (unsigned i = 0; i < m->listeners_count && !m->stopping; i++) {
        net_listener_bound_writes(m->listeners[i], share_us * (uint64_t)1000);
        net_listener_turn(m->listeners[i], READS_NS);
    }
}

void master_wake(struct master *m)
{
    if (!m->stopping) {
        uv_idle_start(&m->idle, on_idle); /* stopped by the turn when there is nothing left */
    }
}

static void on_chores(uv_timer_t *timer)
{
    struct master *m = timer->data;
    members_announce(m);
    authority_tick(m);
    rotate_tick(m);
    reseal_tick(m);
    level_tick(m);
    lease_tick(m);
    node_feeds_tick(m);
    identity_tick(m);
    changes_settle(m);
    removed_check(m);
    revoked_tick(m);
    root_ca_tick(m);
    account_keys_tick(m);
    secret_tokens_tick(m);
    known_note(m);
    members_leave_low_disk(m);
    list_pages_expire(m->pages, env_now_ms(m->env));
    turns_tick(m->turns, env_now_ms(m->env));
    backups_expire(m, env_now_ms(m->env));
    sessions_tick(m);
    rest_tick(m);
    core_forget_gone(m->core, ++m->chores_done % FORGET_EVERY == 0);
}

/* The chores do what is left over by then: a master that was away, a snapshot that takes its time. */
static void on_haste(uv_timer_t *timer)
{
    struct master *m = timer->data;
    reseal_tick(m);
    m->haste_ms *= 2;
    if (m->haste_ms < CHORES_MS && !m->stopping) {
        uv_timer_start(&m->haste, on_haste, m->haste_ms, 0);
    }
}

void master_hasten(struct master *m)
{
    if (!m->stopping) {
        m->haste_ms = HASTE_MS;
        uv_timer_start(&m->haste, on_haste, HASTE_MS, 0);
    }
}

/* ---- Events of the node ---- */

static void on_leading(void *data, bool leading, uint64_t term)
{
    struct master *m = data;
    if (leading && !reseal_may_lead(m)) {
        master_stop(m, 1);
        return;
    }
    reseal_advance(m);
    level_on_committed(m);
    core_on_leading(m->core, leading, term);
    nodes_on_leading(m, leading);
    changes_on_leading(m, leading);
    parked_on_leader(m);
    if (leading) {
        secret_tokens_look(m);
        members_bootstrap(m);
    }
    authority_on_leading(m, leading); /* behind the namespace that it writes to */
}

static void on_tip(void *data, const struct change *changes, unsigned count)
{
    secret_tokens_on_tip(data, changes, count);
    core_on_tip(((struct master *)data)->core, changes, count);
}

static void on_committed(void *data, uint64_t revision, bool restored)
{
    struct master *m = data;
    (void)revision;
    if (restored) {
        rest_kept_forget(m->kept);
    }
    reseal_advance(m);
    authority_advance(m);
    account_keys_advance(m);
    rotate_advance(m);
    level_on_committed(m);
    revoked_advance(m);
    removed_advance(m);
    watch_table_advance(m->watches, restored);
}

static void on_leader_known(void *data, uint64_t leader_id, const char *leader_address)
{
    struct master *m = data;
    calls_on_leader_known(m, leader_id);
    batches_on_leader_known(m, leader_id);
    relays_on_leader_known(m, leader_id);
    parked_on_leader(m);
    if (leader_id != 0) {
        log_info(&m->log, "raft", "leader is %" PRIu64 " at %s", leader_id, leader_address);
    }
}

static void on_fatal(void *data, const struct error *err)
{
    struct master *m = data;
    log_error(&m->log, "raft", "cannot go on: %s", err->message);
    m->damage = err->code == ERR_CORRUPT ? MASTER_DAMAGE_APPLIED : MASTER_DAMAGE_NONE;
    m->damage_error = *err;
    master_stop(m, 1);
}

static bool on_fork(void *data)
{
    return reseal_on_fork(data);
}

/* For turns.h. Who does not lead hands writes on to the leader, which knows what room it has. */
static bool has_room(void *data, enum turn_room room)
{
    struct master *m = data;
    return m->replica == NULL || !replica_leading(m->replica) ||
           replica_has_room_for(m->replica, room == TURN_ROOM_NODE ? REPLICA_ROOM_AGENTS : REPLICA_ROOM_USERS);
}

/* ---- What goes on beside the loop (background.h) ---- */

static void drop_version(void *version)
{
    view_unref(version);
}

static void let_go(void *data, struct view *v)
{
    struct master *m = data;
    uint64_t now = view_revision(store_committed(replica_store(m->replica)));
    if (m->stopping || now - view_revision(v) < LET_GO_CHANGES) {
        view_unref(v);
    } else {
        discards_give(m->discards, v);
    }
}

/* ---- Start ---- */

static int listen_on(struct master *m, const char *addr, int fd, struct error *err)
{
    static const char *const alpns[] = {ALPN_RPC, ALPN_RAFT, ALPN_HTTP, NULL};
    if (m->listeners_count == ARRAY_SIZE(m->listeners)) {
        return error_set(err, ERR_LIMIT, "more than %zu listening sockets", ARRAY_SIZE(m->listeners));
    }
    int rv = net_listen(
        &(struct net_listener_config){
            .loop = &m->loop,
            .tls = m->tls,
            .addr = addr,
            .fd = fd,
            .alpns = alpns,
            .gate = m->gate,
            .worker = m->handshakes,
            .log = &m->log,
            .on_conn = sessions_on_conn,
            .on_refused = sessions_on_refused,
            .data = m,
        },
        &m->listeners[m->listeners_count], err);
    if (rv == 0) {
        net_listener_bound_writes(m->listeners[m->listeners_count++], TURNS_SHARE_LEAST_US * (uint64_t)1000);
    }
    return rv;
}

static int make_gate(struct master *m, struct error *err)
{
    unsigned descriptors = process_raise_descriptors();
    struct net_gate_config shares;
    if (descriptors < NET_GATE_DESCRIPTORS_LEAST) {
        return error_set(err, ERR_LIMIT,
                         "this process may have %u file descriptors; a master needs %u at least: raise the limit "
                         "(`ulimit -Hn`, or LimitNOFILE= of its systemd unit)",
                         descriptors, NET_GATE_DESCRIPTORS_LEAST);
    }
    net_gate_share(descriptors, &shares);
    m->gate = net_gate_new(&shares);
    return 0;
}

/* Sockets handed over by whoever started us (systemd's LISTEN_FDS): served beside our own address. */
static int listen_on_inherited(struct master *m, struct error *err)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (count == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid())) {
        return 0;
    }
    long n = strtol(count, NULL, 10);
    for (long i = 0; i < n; i++) {
        /* A copy: after a repair the next master_run of this process wants them as well. */
        int fd = fcntl(LISTEN_FDS_START + (int)i, F_DUPFD_CLOEXEC, LISTEN_FDS_START + (int)n);
        int rv = fd < 0 ? error_set_errno(err, errno, "inherited socket %d", LISTEN_FDS_START + (int)i)
                        : listen_on(m, "inherited socket", fd, err);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

/* From now on an empty raft/ means that something was lost. */
static int note_started(void *data, struct error *err)
{
    struct master *m = data;
    if (failpoint(FAILPOINT_promise_before_note)) {
        return error_set(err, ERR_IO, "write master.yaml: failed by a failpoint");
    }
    if (m->config.started) {
        return 0;
    }
    m->config.started = true;
    int rv = master_config_save(&m->config, err);
    m->config.started = rv == 0;
    return rv;
}

static bool may_vote(void *data, uint64_t id)
{
    return authority_may_vote(data, id);
}

static void ask_master(struct master *m, uint64_t id, const char *method, struct str params, int64_t timeout_ms,
                       rpc_result_cb *cb, void *data)
{
    transport_call(m->transport, id, method, params, timeout_ms, cb, data);
}

static const struct zone *zone_of(void *data, struct str name)
{
    return zones_get(((struct master *)data)->zones, name, NULL);
}

static int sign_user(void *data, struct arena *a, const struct pki_subject *who, const char *csr_pem, int64_t max_s,
                     int64_t since_ms, struct str asked_by, struct str *cert_pem, struct error *err)
{
    char *cert = NULL;
    int64_t until_s;
    struct pki_identity user = {.role = PKI_ROLE_USER};
    snprintf(user.name, sizeof user.name, "%s", who->name);
    if (revoked_since(data, &user, since_ms)) {
        return error_set(err, ERR_FORBIDDEN, "the certificates of user \"%s\" were revoked after it was approved",
                         who->name);
    }
    int rv = user_certify(data, who->name, who->groups, csr_pem, max_s, asked_by, &cert, &until_s, err);
    *cert_pem = rv == 0 ? str_of(arena_strdup(a, cert)) : STR_NONE;
    free(cert);
    return rv;
}

static int make_node(struct master *m, struct error *err)
{
    char raft_dir[600];
    master_config_path(&m->config, "raft", raft_dir, sizeof raft_dir);
    if (mkdir(raft_dir, 0700) != 0 && errno != EEXIST) {
        return error_set_errno(err, errno, "make directory %s", raft_dir);
    }
    m->ask_master = ask_master;
    m->transport = transport_new(&(struct transport_config){
        .loop = &m->loop,
        .tls = m->tls,
        .id = m->config.id,
        .address = m->config.advertise,
        .log = &m->log,
        .snapshot_dir = raft_dir,
        .on_request = master_on_peer_request,
        .data = m,
        .on_removed = removed_on_told,
    });
    int rv = uv_io_new(&m->loop, raft_dir, m->transport, &m->log, &m->io, err);
    if (rv != 0) {
        return rv;
    }
    uv_io_on_first_promise(m->io, note_started, m);
    uint64_t seed;
    env_random(m->env, &seed, sizeof seed);
    m->zones = zones_new(ZONES_DIRECTORY);
    char audit_path[600];
    master_config_path(&m->config, "audit.log", audit_path, sizeof audit_path);
    m->audit = audit_new(m, audit_path, AUDIT_FILE_BYTES_MAX);
    m->core = core_new(&(struct core_config){.env = m->env,
                                             .log = &m->log,
                                             .seed = seed,
                                             .node_grace_ms = m->config.node_grace_ms,
                                             .usage_ms = m->config.agent_usage_ms,
                                             .ask_heard = nodes_ask_heard,
                                             .zone = zone_of,
                                             .sign_user = sign_user,
                                             .data = m});
    uint64_t state_bytes, state_objects;
    master_config_state(&m->config, &state_bytes, &state_objects);
    rv = replica_new(
        &(struct replica_config){
            .id = m->config.id,
            .address = m->config.advertise,
            .io = uv_io_raft(m->io),
            .env = m->env,
            .log = &m->log,
            .store = {.env = m->env,
                      .log = &m->log,
                      .seal_keys = &m->seal_keys,
                      .events_bytes_max = master_config_events(&m->config)},
            .events = {m, on_leading, on_tip, on_committed, on_leader_known, on_fatal, on_fork},
            .peers = {m->transport, transport_ask_term, transport_reachable_peer, transport_ended_peer},
            .may_vote = may_vote,
            .may_vote_data = m,
            .election_timeout_ms = m->config.election_timeout_ms,
            .election_ceiling_ms = m->config.election_max_ms,
            .election_start_ms = 2 * m->config.election_timeout_ms + m->config.heartbeat_ms,
            .heartbeat_ms = m->config.heartbeat_ms,
            .snapshot_entries = m->config.snapshot_entries,
            .snapshot_bytes = (size_t)m->config.snapshot_mbytes << 20,
            .state_bytes_max = state_bytes,
            .state_objects_max = state_objects,
            .snapshot_dir = raft_dir,
            .run_async = background_run,
            .run_async_data = &m->loop,
        },
        &m->replica, err);
    if (rv != 0) {
        m->damage = rv == ERR_CORRUPT ? MASTER_DAMAGE_LOADED : MASTER_DAMAGE_NONE;
        return rv;
    }
    core_set_node(m->core, m->replica);
    transport_set_node(m->transport, m->replica);
    if (m->config.bootstrap) {
        rv = replica_bootstrap(m->replica, err);
        if (rv != 0 && rv != ERR_EXISTS) {
            return rv;
        }
        m->config.bootstrap = false; /* never again: a member that lost its disk must not found a second cluster */
        m->config.started = true;
        rv = master_config_save(&m->config, err);
        if (rv != 0) {
            return rv;
        }
    }
    rv = replica_start(m->replica, err);
    m->damage = rv == ERR_CORRUPT ? MASTER_DAMAGE_LOADED : MASTER_DAMAGE_NONE;
    return rv != 0 ? rv : level_check_start(m, err);
}

/* ---- Stop ---- */

/* Our own handles; what sessions, transport and disk hold they close themselves. The loop ends when all are gone. */
static void close_handles(struct master *m)
{
    uv_handle_t *const handles[] = {
        (uv_handle_t *)&m->check,    (uv_handle_t *)&m->prepare,      (uv_handle_t *)&m->idle,
        (uv_handle_t *)&m->deadline, (uv_handle_t *)&m->chores,       (uv_handle_t *)&m->told,
        (uv_handle_t *)&m->haste,    (uv_handle_t *)&m->parked_timer,
    };
    for (size_t i = 0; i < ARRAY_SIZE(handles); i++) {
        uv_close(handles[i], NULL);
    }
    net_worker_unref(TAKE_PTR(m->handshakes));
}

static void transport_closed(void *data)
{
    struct master *m = data;
    m->transport = NULL;
    close_handles(m);
}

static void node_closed(void *data)
{
    struct master *m = data;
    transport_close(m->transport, transport_closed, m);
}

void master_stop(struct master *m, int exit_code)
{
    if (m->stopping) {
        m->exit_code = MAX(m->exit_code, exit_code);
        return;
    }
    if (m->replica != NULL) {
        known_note(m); /* what the timer has not seen yet */
    }
    m->stopping = true;
    m->exit_code = exit_code;
    uv_idle_stop(&m->idle);
    uv_timer_stop(&m->deadline);
    uv_timer_stop(&m->chores);
    uv_timer_stop(&m->haste);
    for (unsigned i = 0; i < m->listeners_count; i++) {
        net_listener_close(m->listeners[i], NULL, NULL);
    }
    parked_close(m);
    batches_close(m);
    LIST_FOR_SAFE(it, &m->sessions)
    {
        struct session *s = LIST_ENTRY(it, struct session, link);
        s->way->close(s);
    }
    changes_close(m);
    if (m->replica != NULL) {
        replica_close(m->replica, node_closed, m);
    } else if (m->transport != NULL) {
        transport_close(m->transport, transport_closed, m);
    } else {
        close_handles(m);
    }
}

static void on_told_to_stop(uv_poll_t *told, int status, int events)
{
    struct master *m = told->data;
    (void)status, (void)events;
    uv_poll_stop(told); /* it stays readable */
    log_info(&m->log, "main", "told to stop");
    master_stop(m, 0);
}

static void init_handles(struct master *m, const struct stop *stop)
{
    int rv = uv_loop_init(&m->loop);
    assert(rv == 0); /* there was room for it a moment ago */
    uv_check_init(&m->loop, &m->check);
    uv_prepare_init(&m->loop, &m->prepare);
    uv_idle_init(&m->loop, &m->idle);
    uv_timer_init(&m->loop, &m->deadline);
    uv_timer_init(&m->loop, &m->chores);
    uv_timer_init(&m->loop, &m->haste);
    uv_timer_init(&m->loop, &m->parked_timer);
    rv = uv_poll_init(&m->loop, &m->told, stop->fd);
    assert(rv == 0); /* a descriptor that is ours, of a sort that can be polled */
    m->check.data = m->prepare.data = m->idle.data = m->deadline.data = m->chores.data = m;
    m->told.data = m->parked_timer.data = m->haste.data = m;
    uv_check_start(&m->check, on_check);
    uv_prepare_start(&m->prepare, on_prepare);
    uv_timer_start(&m->chores, on_chores, CHORES_MS, CHORES_MS);
    uv_poll_start(&m->told, UV_READABLE, on_told_to_stop);
}

static void free_master(struct master *m)
{
    replica_free(m->replica);
    uv_io_free(m->io);
    core_free(m->core);
    zones_free(m->zones);
    audit_free(m->audit);
    openapi_free(m->openapi);
    rest_kept_free(m->kept);
    object_unref(m->https_event.object);
    buf_close(&m->https_event.protobuf);
    turns_free(m->turns);
    principal_unref(m->nobody);
    watch_table_free(m->watches);
    node_feeds_free(m->feeds);
    batches_free(m->batches);
    lease_free(m->lease);
    list_pages_free(m->pages);
    discards_free(m->discards);
    free(m->wrong_tokens);
    free(m->node_kib);
    free(m->node_rate);
    free(m->user_rate);
    free(m->replica_events);
    departed_free(m->departed);
    free(m->renewals);
    revoked_free(m->revoked);
    bearers_free(m->bearers);
    account_keys_free(m->account_keys);
    secret_tokens_free(m->secret_tokens);
    rotate_free(m->rotate);
    reseal_free(m->reseal);
    authority_free(m->authority);
    levels_free(m->levels);
    strmap_close(&m->agents);
    net_tls_unref(m->tls);
    net_gate_unref(m->gate);
    free(m->ca_pem);
    pki_free_key(m->ca_key_pem);
    free(m->identity.cert_pem);
    pki_free_key(m->identity.key_pem);
    free(m->known_masters);
    pki_ring_wipe(&m->seal_keys);
    log_rates_free(m->log.rates);
    free(m);
}

int master_run(const struct master_config *config, const struct stop *stop, enum master_damage *damage,
               struct error *err)
{
    int rv = net_loop_room(err);
    if (rv != 0) {
        return rv;
    }
    struct master *m = xcalloc(1, sizeof *m);
    m->config = *config;
    m->env = env_real();
    char name[64];
    snprintf(name, sizeof name, "master-%" PRIu64, config->id);
    m->log = (struct log){.name = name, .level = config->log_level, .rates = log_rates_new()};
    list_init(&m->sessions);
    list_init(&m->https);
    list_init(&m->https_ended);
    list_init(&m->strangers);
    list_init(&m->uncalled);
    list_init(&m->asked);
    list_init(&m->parked);
    list_init(&m->relays);
    list_init(&m->changes);
    list_init(&m->backups);
    strmap_init(&m->agents);
    m->turns = turns_new(has_room, m);
    m->held.max = master_config_queue(config);
    m->watches = watch_table_new(m);
    m->feeds = node_feeds_new(m);
    m->pages = list_pages_new(let_go, m);
    m->kept = rest_kept_new(REST_KEPT_BYTES);
    m->discards = discards_new(&(struct discards_config){background_run, &m->loop, drop_version});
    m->wrong_tokens = allowance_new(m->env, JOIN_WRONG_BURST, JOIN_WRONG_US);
    m->node_kib = allowance_new(m->env, RESTRICT_BURST_KIB, RESTRICT_KIB_US);
    m->replica_events = allowance_new(m->env, RESTRICT_EVENT_BURST, RESTRICT_EVENT_US);
    rates_init(m);
    m->departed = departed_new();
    m->renewals = allowance_new(m->env, CERTS_RENEW_BURST, CERTS_RENEW_US);
    m->revoked = revoked_new();
    m->account_keys = account_keys_new();
    m->bearers = bearers_new(m->env);
    m->secret_tokens = secret_tokens_new();
    m->rotate = rotate_new();
    m->reseal = reseal_new();
    m->authority = authority_new();
    m->levels = levels_new();
    m->lease = lease_new();
    init_handles(m, stop);
    m->batches = batches_new(m);
    rv = make_gate(m, err);
    if (rv == 0) {
        rv = net_worker_new(&m->loop, &m->handshakes, err);
    }
    if (rv == 0) {
        rv = identity_load(m, err);
    }
    if (rv == 0) {
        authority_load(m);
    }
    if (rv == 0) {
        rv = listen_on(m, config->listen, -1, err);
    }
    if (rv == 0) {
        rv = listen_on_inherited(m, err);
    }
    if (rv == 0) {
        rv = make_node(m, err);
    }
    if (rv != 0) {
        master_stop(m, 1);
    } else {
        log_info(&m->log, "main", "reeve-master %s serves %s, data in %s", REEVE_VERSION, config->listen, config->dir);
    }
    while (uv_run(&m->loop, UV_RUN_DEFAULT) != 0) {
    }
    int exit_code = m->exit_code;
    *damage = m->damage;
    if (m->damage != MASTER_DAMAGE_NONE && rv == 0) {
        *err = m->damage_error;
        rv = m->damage_error.code;
    }
    uv_loop_close(&m->loop);
    free_master(m);
    return rv != 0 ? rv : exit_code;
}
