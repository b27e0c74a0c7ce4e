/* Sessions between masters. Each dials all members of the raft configuration; what a peer dialled to us serves as well,
 * so that a newcomer who knows nobody yet can answer. A link's certificate is compared with the peer's id before the
 * first message goes over it. */
#include "raft-store/raft/transport.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "raft-store/raft/transport_int.h"

#define REFRESH_MS     1000
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define CONNECT_MS     3000
#define TERM_MS        5000
#define HEARD_MS       3000
#define SHUT_MIN_MS    50 /* a peer that talks nonsense is not heard for so long ... */
#define SHUT_MAX_MS    10000
#define SHUT_FORGET_MS 60000 /* ... and it counts from the beginning again after this */
/* Entries of REPLICA_MESSAGE_MAX, or one larger one (below 16 MiB), and what is around them. */
#define MESSAGE_MAX (20u << 20)

static void dial(struct peer *p);
static void on_retry(uv_timer_t *timer);

/* ---- Links ---- */

static bool link_open(struct link *l)
{
    if (l->rpc == NULL || !rpc_session_is_open(l->rpc)) {
        return false;
    }
    if (!l->checked) {
        const struct pki_identity *who = rpc_session_peer(l->rpc);
        char id[32];
        snprintf(id, sizeof id, "%" PRIu64, l->peer->id);
        if (who->role != PKI_ROLE_MASTER || strcmp(who->name, id) != 0) {
            log_error(l->peer->t->config.log, "transport", "at %s answers \"%s\", not master %s; not talking to it",
                      l->peer->address, who->name, id);
            rpc_session_close(l->rpc);
            l->rpc = NULL; /* its on_close still comes; see link_closed */
            return false;
        }
        l->checked = true;
        l->peer->refused = false;
        l->peer->backoff_ms = BACKOFF_MIN_MS;
        log_info(l->peer->t->config.log, "transport", "connected %s master %s at %s",
                 l == &l->peer->out ? "to" : "from", id, rpc_session_peer_addr(l->rpc));
    }
    return true;
}

/* Not heard of for a while, so that it cannot fill our log or our time by coming back at once. */
static bool peer_is_shut(const struct peer *p)
{
    return p->bad_ms != 0 && env_now_ms(env_real()) - p->bad_ms < (int64_t)p->shut_ms;
}

static void link_close(struct link *l)
{
    if (l->rpc != NULL) {
        rpc_session_close(l->rpc);
        l->rpc = NULL;
    }
}

struct rpc_session *peer_session(struct peer *p)
{
    return link_open(&p->out) ? p->out.rpc : link_open(&p->in) ? p->in.rpc : NULL;
}

void transport_maybe_closed(struct transport *t)
{
    if (!t->closing || !list_empty(&t->peers) || !t->refresh_closed || t->arrivals > 0) {
        return;
    }
    void (*closed)(void *) = t->closed;
    void *data = t->closed_data;
    net_tls_unref(t->tls);
    free(t->snapshot_dir);
    free(t);
    if (closed != NULL) {
        closed(data);
    }
}

static void peer_maybe_free(struct peer *p)
{
    if (!p->leaving || p->handles > 0) {
        return;
    }
    struct transport *t = p->t;
    assert(p->sending == NULL);
    snapshot_in_free(p->receiving);
    list_remove(&p->list);
    free(p);
    transport_maybe_closed(t);
}

/* Each session carries its own word on which peer and side it belongs to, since a newer one may have taken the side. */
struct link_ref {
    struct peer *peer;
    bool out;
};

static void link_closed(struct rpc_session *rpc, const struct error *why, void *data)
{
    struct link_ref *ref = data;
    struct peer *p = ref->peer;
    struct link *l = ref->out ? &p->out : &p->in;
    if (l->rpc == rpc) {
        if (l->checked) {
            log_info(p->t->config.log, "transport", "connection %s master %" PRIu64 " is gone%s%s",
                     ref->out ? "to" : "from", p->id, why == NULL ? "" : ": ", why == NULL ? "" : why->message);
        }
        l->rpc = NULL;
        if (ref->out) {
            p->refused = !l->checked && rpc_session_refused(rpc);
        }
        l->checked = false;
    }
    if (ref->out && !p->leaving && !p->t->closing) {
        uv_timer_start(&p->retry, on_retry, peer_is_shut(p) ? MAX(p->backoff_ms, p->shut_ms) : p->backoff_ms, 0);
    }
    free(ref);
    assert(p->handles > 0);
    p->handles--;
    peer_maybe_free(p);
}

/* What it says cannot be meant: damaged, or of a version that we do not understand. Its connections are closed, and
 * it may begin again. */
static void peer_is_bad(struct peer *p, const char *why)
{
    int64_t now = env_now_ms(env_real());
    bool again = p->bad_ms != 0 && now - p->bad_ms < SHUT_FORGET_MS;
    p->shut_ms = again ? MIN(p->shut_ms * 2, SHUT_MAX_MS) : SHUT_MIN_MS;
    p->bad_ms = now;
    p->t->stats.bad++;
    log_warn(p->t->config.log, "transport",
             "closed the connection to master %" PRIu64 " for %u ms: it sent %s. Is it of another version, or damaged? "
             "Look into its log",
             p->id, p->shut_ms, why);
    link_close(&p->out);
    link_close(&p->in);
}

static void on_raft(struct peer *p, struct mp params)
{
    struct raft_message m;
    struct str data, address = mp_str(mp_get(params, "address"));
    struct mp bin = mp_get(params, "data");
    struct error err = {0};
    p->t->stats.received++;
    bool ok = mp_int(mp_get(params, "from"), 0) == (int64_t)p->id && mp_read_bin(&bin, &data) &&
              raft_codec_read(mp_of(data.p, data.n), &m, &err) == 0;
    if (!ok) {
        peer_is_bad(p, "a malformed message");
        return;
    }
    m.server_id = p->id;
    const char *absurd = m.type == RAFT_INSTALL_SNAPSHOT ? "a snapshot that is not in parts"
                         : p->t->replica != NULL         ? replica_absurd(p->t->replica, &m)
                                                         : NULL;
    if (absurd != NULL) {
        raft_codec_free(&m);
        peer_is_bad(p, absurd);
        return;
    }
    p->t->stats.bytes_received += data.n;
    if (p->address[0] == '\0' && address.n > 0 && address.n < sizeof p->address) {
        snprintf(p->address, sizeof p->address, "%.*s", STR_ARG(address));
    }
    transport_deliver(p, &m);
}

void transport_deliver(struct peer *p, struct raft_message *m)
{
    p->heard_ms = env_now_ms(env_real());
    if (p->t->receiver == NULL || p->t->closing) {
        raft_codec_free(m);
        return;
    }
    m->server_id = p->id;
    m->server_address = p->address;
    p->t->receiver->deliver(p->t->receiver->data, m);
}

static struct peer *peer_of(void *data)
{
    return ((struct link_ref *)data)->peer;
}

/* A link is used by others once link_open has checked its certificate; what comes over it may be earlier. */
static bool link_trusted(struct rpc_session *s, struct link_ref *ref)
{
    struct link *l = ref->out ? &ref->peer->out : &ref->peer->in;
    return l->rpc == s && link_open(l);
}

static void on_notify(struct rpc_session *s, struct str method, struct mp params, void *data)
{
    struct link_ref *ref = data;
    struct peer *p = ref->peer;
    /* A removed master dials an address of old. Another master may have that address by now. It is not the one that was
     * looked for, but it is a master and knows who was removed, so its word counts. */
    bool dialled = ref->out && !p->leaving && rpc_session_peer(s)->role == PKI_ROLE_MASTER;
    if (str_is(method, "removed") && (dialled || link_trusted(s, ref))) {
        if (!p->t->closing && p->t->config.on_removed != NULL &&
            mp_int(mp_get(params, "id"), 0) == (int64_t)p->t->config.id) {
            p->t->config.on_removed(p->t->config.data, p->id);
        }
    } else if (str_is(method, "raft") && link_trusted(s, ref)) {
        on_raft(p, params);
    }
}

static void on_request(struct rpc_session *s, struct rpc_request *r, struct str method, struct mp params, void *data)
{
    struct peer *p = peer_of(data);
    if (!link_trusted(s, data)) {
        struct error err = {0};
        error_set(&err, ERR_CLOSED, "this connection is over");
        rpc_reply_error(r, &err);
        return;
    }
    p->heard_ms = env_now_ms(env_real());
    if (str_is(method, "raft.term")) {
        struct buf b = BUF_INIT;
        mp_write_map(&b, 1);
        mp_write_key_int(&b, "term", p->t->replica == NULL ? 0 : (int64_t)replica_current_term(p->t->replica));
        rpc_reply(r, buf_str(&b));
        buf_close(&b);
    } else if (str_is(method, "raft.part")) {
        snapshot_on_part(p, r, params);
    } else if (p->t->closing) {
        struct error err = {0};
        error_set(&err, ERR_CLOSED, "this master is stopping");
        rpc_reply_error(r, &err);
    } else {
        p->t->config.on_request(p->t->config.data, p->id, r, method, params);
    }
}

static struct rpc_config link_config(struct peer *p, bool out)
{
    struct link_ref *ref = xcalloc(1, sizeof *ref);
    *ref = (struct link_ref){p, out};
    p->handles++;
    return (struct rpc_config){.inflight_max = TRANSPORT_INFLIGHT_MAX,
                               .handler = {on_request, on_notify, link_closed},
                               .data = ref,
                               .message_max = MESSAGE_MAX,
                               .hands_on = true,
                               .log = p->t->config.log};
}

/* ---- Peers ---- */

struct peer *peer_find(const struct transport *t, uint64_t id)
{
    LIST_FOR(it, &t->peers)
    {
        struct peer *p = LIST_ENTRY(it, struct peer, list);
        if (p->id == id && !p->leaving) {
            return p;
        }
    }
    return NULL;
}

static void on_retry(uv_timer_t *timer)
{
    struct peer *p = timer->data;
    p->backoff_ms = MIN(p->backoff_ms * 2, BACKOFF_MAX_MS);
    dial(p);
}

static struct peer *peer_add(struct transport *t, uint64_t id, const char *address)
{
    struct peer *p = xcalloc(1, sizeof *p);
    p->t = t;
    p->id = id;
    p->out.peer = p->in.peer = p;
    p->backoff_ms = BACKOFF_MIN_MS;
    p->heard_ms = INT64_MIN / 2;
    snprintf(p->address, sizeof p->address, "%s", address);
    uv_timer_init(t->config.loop, &p->retry);
    uv_timer_start(&p->retry, on_retry, 0, 0);
    p->retry.data = p;
    p->handles = 1;
    list_push_back(&t->peers, &p->list);
    return p;
}

static void dial(struct peer *p)
{
    if (p->leaving || p->out.rpc != NULL || p->address[0] == '\0') {
        return;
    }
    if (peer_is_shut(p)) {
        uv_timer_start(&p->retry, on_retry, p->shut_ms, 0);
        return;
    }
    struct rpc_config config = link_config(p, true);
    p->out.checked = false;
    p->out.rpc = rpc_session_connect(p->t->config.loop, p->t->tls, p->address, ALPN_RAFT, CONNECT_MS, &config);
}

static void on_retry_closed(uv_handle_t *handle)
{
    struct peer *p = handle->data;
    assert(p->handles > 0);
    p->handles--;
    peer_maybe_free(p);
}

static void peer_leave(struct peer *p)
{
    if (p->leaving) {
        return;
    }
    p->leaving = true;
    link_close(&p->out);
    link_close(&p->in);
    uv_close((uv_handle_t *)&p->retry, on_retry_closed);
}

/* Follow the raft configuration: dial new members, let go of those that left. */
void transport_follow_members(struct transport *t)
{
    struct replica_member members[RAFT_CODEC_MEMBERS_MAX];
    if (t->replica == NULL) {
        return;
    }
    unsigned n = replica_members(t->replica, members, RAFT_CODEC_MEMBERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        if (members[i].id == t->config.id) {
            continue;
        }
        struct peer *p = peer_find(t, members[i].id);
        if (p == NULL) {
            p = peer_add(t, members[i].id, members[i].address);
        } else if (strcmp(p->address, members[i].address) != 0) {
            snprintf(p->address, sizeof p->address, "%s", members[i].address);
            link_close(&p->out);
        }
        link_open(&p->out);
        link_open(&p->in);
        if (p->out.rpc == NULL && !uv_is_active((uv_handle_t *)&p->retry)) {
            dial(p);
        }
    }
    LIST_FOR_SAFE(it, &t->peers)
    {
        struct peer *p = LIST_ENTRY(it, struct peer, list);
        bool member = n == 0; /* we know nobody yet: keep who speaks to us */
        for (unsigned i = 0; i < n; i++) {
            member |= members[i].id == p->id;
        }
        if (!member && p->sending == NULL) {
            peer_leave(p);
        } else if (!member) {
            link_close(&p->out); /* that ends what is being sent */
            link_close(&p->in);
        }
    }
}

static void on_refresh(uv_timer_t *timer)
{
    transport_follow_members(timer->data);
}

/* ---- Public ---- */

struct transport *transport_new(const struct transport_config *config)
{
    struct transport *t = xcalloc(1, sizeof *t);
    t->config = *config;
    t->tls = net_tls_ref(config->tls);
    snprintf(t->address, sizeof t->address, "%s", config->address);
    t->snapshot_dir = config->snapshot_dir == NULL ? NULL : xstrdup(config->snapshot_dir);
    t->config.snapshot_dir = t->snapshot_dir;
    list_init(&t->peers);
    uv_timer_init(config->loop, &t->refresh);
    t->refresh.data = t;
    uv_timer_start(&t->refresh, on_refresh, 0, REFRESH_MS);
    return t;
}

static void on_refresh_closed(uv_handle_t *handle)
{
    struct transport *t = handle->data;
    t->refresh_closed = true;
    transport_maybe_closed(t);
}

void transport_close(struct transport *t, void (*closed)(void *data), void *data)
{
    assert(!t->closing);
    t->closing = true;
    t->closed = closed;
    t->closed_data = data;
    t->replica = NULL;
    if (t->receiver != NULL) {
        t->receiver->forget(t->receiver->data);
    }
    t->receiver = NULL;
    LIST_FOR_SAFE(it, &t->peers)
    {
        peer_leave(LIST_ENTRY(it, struct peer, list));
    }
    uv_close((uv_handle_t *)&t->refresh, on_refresh_closed);
}

void transport_set_tls(struct transport *t, struct net_tls *tls)
{
    struct net_tls *old = t->tls;
    t->tls = net_tls_ref(tls);
    net_tls_unref(old);
}

void transport_end_sessions(struct transport *t,
                            bool (*unwanted)(void *data, uint64_t id, const struct pki_facts *facts), void *data)
{
    LIST_FOR_SAFE(it, &t->peers)
    {
        struct peer *p = LIST_ENTRY(it, struct peer, list);
        struct link *const links[] = {&p->out, &p->in};
        for (unsigned i = 0; i < ARRAY_SIZE(links); i++) {
            if (links[i]->rpc != NULL && unwanted(data, p->id, rpc_session_peer_facts(links[i]->rpc))) {
                link_close(links[i]);
            }
        }
    }
}

void transport_set_node(struct transport *t, struct replica *n)
{
    t->replica = n;
}

void transport_set_receiver(struct transport *t, const struct transport_receiver *receiver)
{
    t->receiver = receiver;
}

void transport_accept(struct transport *t, struct net_conn *c)
{
    uint64_t id = strtoull(net_conn_peer(c)->name, NULL, 10);
    if (t->closing || id == 0 || id == t->config.id) {
        net_conn_close(c);
        return;
    }
    struct peer *p = peer_find(t, id);
    if (p == NULL) {
        p = peer_add(t, id, "");
    }
    if (peer_is_shut(p)) {
        net_conn_close(c);
        return;
    }
    link_close(&p->in); /* the newer one counts: the peer has restarted */
    struct rpc_config config = link_config(p, false);
    p->in.checked = false;
    p->in.rpc = rpc_session_new(c, t->config.loop, &config);
    link_open(&p->in);
    if (p->out.rpc == NULL && p->address[0] != '\0') {
        p->backoff_ms = BACKOFF_MIN_MS; /* it lives: do not wait out the back-off */
        uv_timer_start(&p->retry, on_retry, 0, 0);
    }
}

/* A callback that must come later. */
struct refused_call {
    uv_timer_t timer;
    rpc_result_cb *cb;
    void *data;
    uint64_t peer_id;
};

static void refused_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_refused(uv_timer_t *timer)
{
    struct refused_call *rc = timer->data;
    struct error err = {0};
    error_set(&err, ERR_CLOSED, "no connection to master %" PRIu64, rc->peer_id);
    rc->cb(&(struct rpc_result){.error = &err}, rc->data);
    uv_close((uv_handle_t *)timer, refused_closed);
}

void transport_call(struct transport *t, uint64_t peer_id, const char *method, struct str params, int64_t timeout_ms,
                    rpc_result_cb *cb, void *data)
{
    struct rpc_session *s = transport_session(t, peer_id);
    if (s != NULL) {
        rpc_call(s, method, params, timeout_ms, cb, data);
        return;
    }
    struct refused_call *rc = xcalloc(1, sizeof *rc);
    *rc = (struct refused_call){.cb = cb, .data = data, .peer_id = peer_id};
    uv_timer_init(t->config.loop, &rc->timer);
    rc->timer.data = rc;
    uv_timer_start(&rc->timer, on_refused, 0, 0);
}

struct rpc_session *transport_session(struct transport *t, uint64_t peer_id)
{
    struct peer *p = t->closing ? NULL : peer_find(t, peer_id);
    return p == NULL ? NULL : peer_session(p);
}

bool transport_reachable(const struct transport *t, uint64_t peer_id)
{
    struct peer *p = peer_find(t, peer_id);
    if (p == NULL || peer_session(p) == NULL) {
        return false;
    }
    /* Only a leader hears all members regularly (answers to its heartbeats); for the others an open session must do. */
    return !replica_leading(t->replica) || env_now_ms(env_real()) - p->heard_ms < HEARD_MS;
}

bool transport_settled(const struct transport *t, int64_t since_ms)
{
    bool all = true;
    LIST_FOR(it, &t->peers)
    {
        struct peer *p = LIST_ENTRY(it, struct peer, list);
        all = all && (p->leaving || peer_session(p) == NULL || p->heard_ms >= since_ms);
    }
    return all || env_now_ms(env_real()) - since_ms >= HEARD_MS;
}

bool transport_reachable_peer(void *data, uint64_t id)
{
    return transport_reachable(data, id);
}

bool transport_ended_peer(void *data, uint64_t id)
{
    struct peer *p = peer_find(data, id);
    return p != NULL && p->refused && peer_session(p) == NULL;
}

struct term_question {
    struct transport *t;
    uint64_t id, round;
};

static void term_answered(const struct rpc_result *result, void *data)
{
    struct term_question *q = data;
    if (result->error == NULL && q->t->replica != NULL) {
        int64_t term = mp_int(mp_get(result->result, "term"), -1);
        if (term >= 0) {
            replica_term_confirmed(q->t->replica, q->round, q->id, (uint64_t)term);
        }
    }
    free(q);
}

void transport_ask_term(void *data, uint64_t id, uint64_t round, uint64_t term)
{
    struct transport *t = data;
    struct rpc_session *s = transport_session(t, id);
    if (s == NULL) {
        return; /* no answer is no confirmation */
    }
    struct term_question *q = xcalloc(1, sizeof *q);
    *q = (struct term_question){t, id, round};
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "round", (int64_t)round);
    mp_write_key_int(&b, "term", (int64_t)term);
    rpc_call(s, "raft.term", buf_str(&b), TERM_MS, term_answered, q);
    buf_close(&b);
}

static void note_append(struct peer *p, const struct raft_append_entries *a)
{
    p->appended.version = a->version;
    p->appended.term = a->term;
    p->appended.index = a->prev_log_index + a->n_entries;
    p->appended.index_term = a->n_entries > 0 ? a->entries[a->n_entries - 1].term : a->prev_log_term;
    p->appended.commit = a->leader_commit;
}

void transport_hint_commit(struct transport *t, uint64_t term, uint64_t commit)
{
    LIST_FOR(it, &t->peers)
    {
        struct peer *p = LIST_ENTRY(it, struct peer, list);
        uint64_t known = MIN(commit, p->appended.index);
        if (p->leaving || p->appended.term != term || known <= p->appended.commit) {
            continue;
        }
        struct raft_message m = {.type = RAFT_APPEND_ENTRIES, .server_id = p->id, .server_address = p->address};
        m.append_entries = (struct raft_append_entries){
            .version = p->appended.version,
            .term = term,
            .prev_log_index = p->appended.index,
            .prev_log_term = p->appended.index_term,
            .leader_commit = commit,
        };
        transport_send(t, &m);
    }
}

int transport_send(struct transport *t, const struct raft_message *m)
{
    assert(m->type != RAFT_INSTALL_SNAPSHOT);
    struct peer *p = t->closing ? NULL : peer_find(t, m->server_id);
    if (p == NULL && !t->closing) {
        p = peer_add(t, m->server_id, m->server_address == NULL ? "" : m->server_address);
    }
    struct rpc_session *s = p == NULL ? NULL : peer_session(p);
    if (s == NULL || rpc_session_pending(s) > TRANSPORT_QUEUE_MAX) {
        t->stats.dropped++;
        return RAFT_NOCONNECTION;
    }
    struct buf data = BUF_INIT, b = BUF_INIT;
    buf_reserve(&data, raft_codec_size(m));
    raft_codec_write(&data, m);
    buf_reserve(&b, data.size + 256);
    mp_write_map(&b, 3);
    mp_write_key_int(&b, "from", (int64_t)t->config.id);
    mp_write_key_str(&b, "address", str_of(t->address));
    mp_write_cstr(&b, "data");
    mp_write_bin(&b, data.data, data.size);
    int rv = rpc_notify(s, "raft", buf_str(&b));
    if (rv == 0 && m->type == RAFT_APPEND_ENTRIES) {
        note_append(p, &m->append_entries);
    }
    t->stats.sent += rv == 0;
    t->stats.dropped += rv != 0;
    t->stats.bytes_sent += data.size;
    buf_close(&data);
    buf_close(&b);
    return rv == 0 ? 0 : RAFT_NOCONNECTION;
}

const struct transport_stats *transport_stats(const struct transport *t)
{
    return &t->stats;
}
