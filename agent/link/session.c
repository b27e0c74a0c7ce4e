#include "agent/link/session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "agent/link/link.h"
#include "agent/util/backoff.h"
#include "agent/util/defer.h"
#include "proto/rpc/api.h"

#define HELLO_MS_MIN   3000 /* a busy master is not left at once */
#define HEARTBEAT_SOON 1000 /* the first one after registering: the other masters know us then */

enum session_state { SESSION_NONE, SESSION_REGISTERING, SESSION_READY, SESSION_STOPPING };

struct order_stream {
    struct session *session;
    enum session_stream which;
    struct rpc_stream *stream;
    bool listing;
    bool ended; /* by us */
};
/* One that the main link's master has not answered. */
struct main_call {
    struct list link;  /* in the session's */
    rpc_result_cb *cb; /* NULL: it has been given up */
    void *data;
};
struct entry {
    struct link *link;
    bool configured; /* else told by a leader */
    bool dropped;    /* is being closed */
};

struct session {
    struct session_config config;
    struct link_config shared;
    struct entry links[SESSION_LINKS_MAX];
    unsigned links_count, next_link;
    uint64_t learnt_hash; /* of the leader's list */
    enum session_state state;
    struct link *main;                             /* NULL: state NONE */
    int64_t main_term;                             /* in which it was taken */
    struct order_stream *streams[SESSION_STREAMS]; /* of the main link; NULL = none */
    struct list calls;                             /* likewise */
    struct backoff backoff;
    uv_timer_t search, heartbeat;
    unsigned handles;
    int64_t heartbeat_ms;
    bool registering;      /* its answer has not come */
    int64_t better;        /* the master to which we belong rather; 0: there is none */
    unsigned better_beats; /* heartbeats until we go there */
    bool own_status;       /* the leader keeps our own reports from our orders, if it is asked to */
    bool services;         /* the leader tells of Services */
    bool policies;         /* and of NetworkPolicies */
    bool route_changes;    /* the leader tells of routes what has changed, if it is asked to */
    void (*stop_cb)(void *data);
    void *stop_data;
};

static const char *state_name(enum session_state s)
{
    static const char *const names[] = {"none", "registering", "ready", "stopping"};
    return names[s];
}

/* From every state only these are reached. */
static const unsigned allowed[] = {
    [SESSION_NONE] = 1u << SESSION_REGISTERING | 1u << SESSION_STOPPING,
    [SESSION_REGISTERING] = 1u << SESSION_READY | 1u << SESSION_NONE | 1u << SESSION_STOPPING,
    [SESSION_READY] = 1u << SESSION_NONE | 1u << SESSION_STOPPING,
    [SESSION_STOPPING] = 0,
};

static void move(struct session *s, enum session_state next)
{
    assert(allowed[s->state] & 1u << next);
    log_debug(s->config.log, "session", "%s -> %s (%s)", state_name(s->state), state_name(next),
              s->main == NULL ? "" : link_address(s->main));
    enum session_state former = s->state;
    s->state = next;
    if (former == SESSION_READY) {
        s->config.events.on_lost(s->config.data);
    }
}

/* ---- Links ---- */

static struct entry *find_link(struct session *s, const char *address)
{
    for (unsigned i = 0; i < s->links_count; i++) {
        if (strcmp(link_address(s->links[i].link), address) == 0) {
            return &s->links[i];
        }
    }
    return NULL;
}

static struct entry *add_link(struct session *s, const char *address, bool configured)
{
    if (s->links_count == SESSION_LINKS_MAX) {
        return NULL;
    }
    struct entry *e = &s->links[s->links_count++];
    *e = (struct entry){link_new(&s->shared, address), configured, false};
    return e;
}

/* A hint where the leader is: only a link that is not up needs it, the others are asked in turn. */
static void follow(struct session *s, struct str address)
{
    char text[NET_ADDR_MAX];
    if (address.n == 0 || address.n >= sizeof text || s->state != SESSION_NONE) {
        return;
    }
    snprintf(text, sizeof text, "%.*s", STR_ARG(address));
    struct entry *e = find_link(s, text);
    e = e == NULL ? add_link(s, text, false) : e;
    if (e != NULL && !e->dropped) {
        link_dial(e->link);
    }
}

/* The leader's list: what is new gets a link, what is not in it any more loses the one that such a list gave it. */
static void learn(struct session *s, struct mp masters)
{
    uint64_t hash = XXH3_64bits(masters.p, (size_t)(masters.end - masters.p));
    if (mp_type(masters) != MP_ARRAY || mp_count(masters) == 0 || hash == s->learnt_hash) {
        return;
    }
    s->learnt_hash = hash;
    if (s->config.events.on_masters != NULL) {
        s->config.events.on_masters(masters, s->config.data);
    }
    bool named[SESSION_LINKS_MAX] = {false};
    unsigned seen = 0, before = s->links_count;
    for (struct mp_iter it = mp_iter(masters); mp_next(&it) && seen++ < LINK_MASTERS_MAX;) {
        struct str address = mp_str(it.value);
        char text[NET_ADDR_MAX];
        if (address.n == 0 || address.n >= sizeof text) {
            continue;
        }
        snprintf(text, sizeof text, "%.*s", STR_ARG(address));
        struct entry *e = find_link(s, text);
        e = e == NULL ? add_link(s, text, false) : e;
        if (e != NULL) {
            named[e - s->links] = true;
        }
    }
    for (unsigned i = 0; i < before; i++) {
        struct entry *e = &s->links[i];
        if (!e->configured && !named[i] && !e->dropped && e->link != s->main) {
            e->dropped = true;
            link_stop(e->link);
        }
    }
}

/* Links that were never tried, each at a time of its own. */
static void spread(struct session *s)
{
    unsigned within_ms = s->config.spread_ms == 0 ? SESSION_SPREAD_MS : s->config.spread_ms;
    for (unsigned i = 0; i < s->links_count; i++) {
        uint32_t r = 0;
        env_random(s->config.env, &r, sizeof r);
        if (!s->links[i].dropped) {
            link_dial_first(s->links[i].link, r % within_ms);
        }
    }
}

/* ---- Without a main link ---- */

static void take_best(struct session *s);

static void on_search(uv_timer_t *t)
{
    struct session *s = t->data;
    take_best(s); /* what others have said lately will do */
    if (s->main != NULL) {
        return;
    }
    for (unsigned i = 0; i < s->links_count; i++) {
        if (link_is_up(s->links[i].link)) {
            link_hello(s->links[i].link, LINK_CONNECT_MS);
        }
    }
    for (unsigned i = 0; i < s->links_count; i++) { /* and one more that was not tried yet */
        struct entry *e = &s->links[s->next_link++ % s->links_count];
        if (!e->dropped && link_dial_first(e->link, 0)) {
            break;
        }
    }
    backoff_grow(&s->backoff, env_now_ms(s->config.env));
    uv_timer_start(t, on_search, (uint64_t)MAX(backoff_jitter(&s->backoff, s->config.env), 1), 0);
}

static void search(struct session *s)
{
    uv_timer_start(&s->search, on_search, (uint64_t)backoff_jitter(&s->backoff, s->config.env), 0);
}

static void close_orders(struct session *s)
{
    for (int i = 0; i < SESSION_STREAMS; i++) {
        struct order_stream *os = TAKE_PTR(s->streams[i]);
        if (os != NULL) {
            os->ended = true;
            rpc_stream_end(os->stream, NULL);
        }
    }
}

/* Whoever calls may call the next master as soon as there is one: the former one may stand still. */
static void give_up_calls(struct session *s)
{
    struct error err = {0};
    struct rpc_result result = {.error = &err, .sent = true};
    error_set(&err, ERR_UNKNOWN_OUTCOME, "another master serves this node now: the former one may have done it or not");
    while (!list_empty(&s->calls)) {
        struct main_call *c = LIST_ENTRY(s->calls.next, struct main_call, link);
        rpc_result_cb *cb = c->cb;
        list_remove(&c->link);
        c->cb = NULL;
        cb(&result, c->data);
    }
}

static void leave_main(struct session *s)
{
    close_orders(s);
    s->main = NULL;
    s->better = 0;
    s->registering = false;
    move(s, SESSION_NONE);
    give_up_calls(s);
}

/* The link itself stays, if it is up, with all that streams over it. It is not taken again before it answers a hello.
 * */
static void lose_main(struct session *s, const char *what, const struct error *why)
{
    if (s->main == NULL) {
        return;
    }
    bool named = why != NULL && why->code == ERR_NOT_LEADER;
    if (what != NULL && !named) {
        link_complain(s->main, what, why);
    }
    link_set_leads(s->main, false, 0);
    link_set_unserving(s->main);
    leave_main(s);
    search(s);
    if (named) {
        follow(s, str_of(why->field));
    }
}

/* ---- Orders ---- */

static void feed_event(struct order_stream *os, struct mp event)
{
    struct session *s = os->session;
    struct str type = mp_str(mp_get(event, "type"));
    if (str_is(type, "BOOKMARK")) {
        if (os->listing) {
            os->listing = false;
            s->config.events.on_list_end(os->which, s->config.data);
        }
        return;
    }
    struct object *o = NULL;
    struct error err;
    int rv = object_from_wire(mp_get(event, "object"), &o, &err);
    if (rv != 0) {
        log_error(s->config.log, "session", "an order that cannot be read: %s", err.message);
        return;
    }
    enum session_change change = str_is(type, "ADDED")     ? SESSION_ADDED
                                 : str_is(type, "DELETED") ? SESSION_DELETED
                                                           : SESSION_MODIFIED;
    s->config.events.on_object(os->which, change, o, s->config.data);
    object_unref(o);
}

static void on_stream_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    struct order_stream *os = data;
    struct session *s = os->session;
    if (s->streams[os->which] == os && os->which == SESSION_ROUTES) {
        s->config.events.on_routes(payload, s->config.data);
    } else if (s->streams[os->which] == os && os->which == SESSION_SERVICES) {
        s->config.events.on_services(payload, s->config.data);
    } else if (s->streams[os->which] == os && os->which == SESSION_POLICIES) {
        s->config.events.on_policies(payload, s->config.data);
    } else if (s->streams[os->which] == os) {
        for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
            feed_event(os, it.value);
        }
    }
    rpc_stream_consumed(st, payload_bytes);
}

static void open_stream(struct session *s, enum session_stream which);

static void on_stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct order_stream *os = data;
    struct session *s = os->session;
    enum session_stream which = os->which;
    bool current = s->streams[which] == os;
    if (!os->ended) {
        rpc_stream_end(st, NULL);
    }
    free(os);
    if (!current) {
        return;
    }
    s->streams[which] = NULL;
    if (err != NULL && err->code == ERR_EXPIRED && link_is_up(s->main)) {
        open_stream(s, which);        /* we were too slow: the whole list again */
    } else if (link_is_up(s->main)) { /* else the link tells */
        lose_main(s, "stream of orders ended", err);
    }
}

static const struct rpc_stream_events stream_events = {.on_data = on_stream_data, .on_end = on_stream_end};

static void write_name(struct session *s, struct buf *b)
{
    mp_write_map(b, 1);
    mp_write_key_str(b, "name", str_of(s->config.name));
}

static void open_stream(struct session *s, enum session_stream which)
{
    static const char *const methods[SESSION_STREAMS] = {"node.pods", "node.refs", "node.routes", "node.services",
                                                         "node.policies"};
    CLEANUP_BUF struct buf params = BUF_INIT;
    struct order_stream *os = xcalloc(1, sizeof *os);
    *os =
        (struct order_stream){.session = s, .which = which, .listing = which == SESSION_PODS || which == SESSION_REFS};
    if (os->listing) {
        s->config.events.on_list_begin(which, s->config.data);
    }
    bool changes = which == SESSION_ROUTES && s->route_changes, quiet = which == SESSION_PODS && s->own_status;
    mp_write_map(&params, 1 + changes + quiet);
    mp_write_key_str(&params, "name", str_of(s->config.name));
    if (quiet) {
        mp_write_key_bool(&params, "ownStatus", false);
    }
    if (changes) {
        mp_write_cstr(&params, "changes");
        mp_write_bool(&params, true);
    }
    os->stream = rpc_stream_open(link_rpc(s->main), methods[which], buf_str(&params), &stream_events, os);
    s->streams[which] = os;
}

/* ---- Which master ---- */

/* Of all pairs of a node and a master this tells how well they fit: each node has an order of its own for the masters,
 * and one master more or less moves no node but its own (rendezvous hashing, Thaler and Ravishankar 1998). */
static uint64_t fit(const struct session *s, const struct link *l)
{
    return XXH3_64bits_withSeed(s->config.name, strlen(s->config.name), (uint64_t)link_master(l));
}

/* The one that we belong to: of those that serve agents the best fit; else a leader of a release that serves all
 * agents itself, the latest. NULL: there is none. */
static struct link *best_link(const struct session *s)
{
    struct link *best = NULL;
    for (unsigned i = 0; i < s->links_count; i++) {
        struct link *l = s->links[i].link;
        bool usable = link_is_up(l) && !s->links[i].dropped && (link_serves(l) || link_leads(l));
        if (!usable || (best != NULL && link_serves(best) && !link_serves(l))) {
            continue;
        }
        bool better = best == NULL || (link_serves(l) && !link_serves(best)) ||
                      (link_serves(l) ? fit(s, l) > fit(s, best) : link_term(l) > link_term(best));
        best = better ? l : best;
    }
    return best;
}

/* A master that was away, or is new, gets its agents back one after the other: each waits for some heartbeats, at
 * random, in which nothing speaks against it. */
static void go_home(struct session *s)
{
    struct link *best = s->state == SESSION_READY ? best_link(s) : NULL;
    uint32_t r = 0;
    if (best == NULL || best == s->main || !link_serves(best) || link_master(best) == 0) {
        s->better = 0;
    } else if (s->better != link_master(best)) {
        env_random(s->config.env, &r, sizeof r);
        s->better = link_master(best);
        s->better_beats = SESSION_MOVE_BEATS_MIN + r % SESSION_MOVE_BEATS;
    } else if (--s->better_beats == 0) {
        leave_main(s);
        take_best(s);
    }
}

/* ---- Registration ---- */

static void on_heartbeat(uv_timer_t *t)
{
    struct session *s = t->data;
    CLEANUP_BUF struct buf params = BUF_INIT;
    go_home(s);
    if (s->main != NULL && s->config.renew != NULL && renew_due(s->config.renew)) {
        link_renew(s->main);
    }
    write_name(s, &params);
    for (unsigned i = 0; i < s->links_count; i++) {
        struct link *l = s->links[i].link;
        if (link_is_up(l)) {
            rpc_notify(link_rpc(l), "node.heartbeat", buf_str(&params));
            link_hello(l, MAX(s->heartbeat_ms, HELLO_MS_MIN));
        }
    }
}

static void on_registered(const struct rpc_result *r, void *data)
{
    struct link *l = data;
    struct session *s = link_owner(l);
    if (s->main != l || (s->state != SESSION_REGISTERING && s->state != SESSION_READY)) {
        return; /* the role has moved on */
    }
    s->registering = false;
    if (r->error != NULL && r->error->code == ERR_CLOSED) {
        return; /* the link tells */
    }
    if (r->error != NULL) {
        lose_main(s, "registration refused", r->error);
        return;
    }
    int64_t period = MAX(mp_int(mp_get(r->result, "heartbeatMs"), API_HEARTBEAT_MS_DEFAULT), 100);
    if (period != s->heartbeat_ms || s->state == SESSION_REGISTERING) {
        s->heartbeat_ms = period;
        uv_timer_start(&s->heartbeat, on_heartbeat, (uint64_t)MIN(period, HEARTBEAT_SOON), (uint64_t)period);
    }
    s->route_changes = mp_bool(mp_get(r->result, "routeChanges"), false);
    s->own_status = mp_bool(mp_get(r->result, "ownStatus"), false);
    s->services = mp_bool(mp_get(r->result, "services"), false) && s->config.events.on_services != NULL;
    s->policies = mp_bool(mp_get(r->result, "policies"), false) && s->config.events.on_policies != NULL;
    if (s->state == SESSION_READY) {
        return;
    }
    move(s, SESSION_READY);
    backoff_reset(&s->backoff);
    log_info(s->config.log, "session", "registered with the %s at %s", link_leads(l) ? "leader" : "master",
             link_address(l));
    s->config.events.on_ready(r->result, s->config.data);
    for (int i = 0; i < SESSION_STREAMS; i++) {
        if ((i != SESSION_SERVICES || s->services) && (i != SESSION_POLICIES || s->policies)) {
            open_stream(s, (enum session_stream)i);
        }
    }
    spread(s);
}

static void send_registration(struct session *s)
{
    CLEANUP_BUF struct buf params = BUF_INIT;
    const char *instance = s->shared.instance;
    bool any = link_tells_serves(s->main); /* an older master refuses what it does not know */
    mp_write_map(&params, 1 + any + (instance != NULL));
    if (any) {
        mp_write_key_bool(&params, "anyMaster", true);
    }
    if (instance != NULL) {
        mp_write_key_str(&params, "instance", str_of(instance));
    }
    mp_write_cstr(&params, "node");
    s->config.events.write_node(&params, s->config.data);
    s->registering = true;
    rpc_call(link_rpc(s->main), "node.register", buf_str(&params), SESSION_CALL_MS, on_registered, s->main);
}

static void take_best(struct session *s)
{
    struct link *best = best_link(s);
    if (best == NULL || s->main != NULL || s->state == SESSION_STOPPING) {
        return;
    }
    uv_timer_stop(&s->search);
    s->main = best;
    s->main_term = link_term(best);
    move(s, SESSION_REGISTERING);
    send_registration(s);
}

/* Does this link change which one is the main one? One that serves agents keeps the role while it does. One that led
 * while another does in a later term is cut off or stands still, or has ended our orders by itself. */
static void consider(struct session *s, struct link *l)
{
    bool later = s->main != NULL && s->main != l && link_term(l) > link_term(s->main);
    bool led = s->main != NULL && (link_leads(s->main) || !link_serves(s->main));
    if (led && link_leads(l) && link_is_up(l) && later) {
        lose_main(s, NULL, NULL);
    }
    take_best(s);
}

/* Whom to believe what is the leader's to say. */
static bool is_the_leader(const struct session *s, const struct link *l)
{
    bool latest = link_leads(l);
    for (unsigned i = 0; i < s->links_count; i++) {
        const struct link *other = s->links[i].link;
        latest &= !link_is_up(other) || !link_leads(other) || link_term(other) <= link_term(l);
    }
    return latest && s->main != NULL && (s->main == l || link_serves(s->main));
}

/* ---- What links tell ---- */

static void on_hello(struct link *l, struct mp hello, void *data)
{
    struct session *s = data;
    if (s->state == SESSION_STOPPING) {
        return;
    }
    if (l == s->main && !link_leads(l) && !link_serves(l)) {
        lose_main(s, NULL, NULL);
    }
    if (link_leads(l)) {
        learn(s, mp_get(hello, "masters"));
    }
    consider(s, l);
    if (is_the_leader(s, l)) {
        if (s->config.renew != NULL) {
            renew_told(s->config.renew, mp_str(mp_get(hello, "standing")));
            if (renew_refuse(s->config.renew, mp_str(mp_get(hello, "refused")))) {
                net_tls_set_refused(s->shared.tls, str_of(renew_refused(s->config.renew)));
            }
            if (renew_due(s->config.renew)) {
                link_renew(l);
            }
        }
        if (s->state == SESSION_READY) {
            spread(s); /* those that were just learnt */
        }
    }
    follow(s, mp_str(mp_get(hello, "leaderAddress")));
}

static void on_down(struct link *l, void *data)
{
    struct session *s = data;
    bool was_main = l == s->main;
    if (was_main && s->state != SESSION_STOPPING) {
        lose_main(s, NULL, NULL);
    }
    for (unsigned i = 0; i < s->links_count && s->state != SESSION_STOPPING; i++) {
        struct link *other = s->links[i].link; /* a spare one for the same master */
        if (other != l && !link_is_up(other) && link_master(other) == link_master(l) && !s->links[i].dropped) {
            link_dial(other);
        }
    }
}

static bool is_spare(struct link *l, void *data)
{
    struct session *s = data;
    for (unsigned i = 0; i < s->links_count; i++) {
        struct link *other = s->links[i].link;
        if (other != l && link_is_up(other) && link_master(other) != 0 && link_master(other) == link_master(l)) {
            return true;
        }
    }
    return false;
}

static void on_link_request(struct link *l, struct rpc_request *r, struct str method, struct mp params, void *data)
{
    struct session *s = data;
    (void)l;
    s->config.events.on_request(r, method, params, s->config.data);
}

/* node.lead: this master leads now. node.refresh: it had given us up and wants to know how we are. node.unserved: as it
 * leads it has not heard of the master that serves us. */
static void on_link_notify(struct link *l, struct str method, struct mp params, void *data)
{
    struct session *s = data;
    if (str_is(method, "node.lead")) {
        link_set_leads(l, true, mp_int(mp_get(params, "term"), 0));
        if (l == s->main && !link_serves(l) &&
            link_term(l) > s->main_term) { /* it leads again, in a later term: its orders have ended, or will */
            lose_main(s, NULL, NULL);
            link_set_leads(l, true, 0);
        }
        consider(s, l);
    } else if (str_is(method, "node.refresh") && s->state == SESSION_READY &&
               !s->registering) { /* each master says so */
        send_registration(s);
    } else if (str_is(method, "node.unserved") && s->main != NULL && l != s->main && link_serves(s->main) &&
               link_master(s->main) == mp_int(mp_get(params, "master"), 0)) {
        lose_main(s, NULL, NULL);
    }
}

/* ---- Life ---- */

static void maybe_free(struct session *s)
{
    if (s->state != SESSION_STOPPING || s->links_count > 0 || s->handles > 0) {
        return;
    }
    void (*cb)(void *data) = s->stop_cb;
    void *data = s->stop_data;
    net_tls_unref(s->shared.tls);
    free((char *)s->config.name);
    free((char *)s->shared.instance);
    free(s);
    cb(data);
}

static void on_closed(struct link *l, void *data)
{
    struct session *s = data;
    for (unsigned i = 0; i < s->links_count; i++) {
        if (s->links[i].link == l) {
            s->links[i] = s->links[--s->links_count];
            break;
        }
    }
    link_free(l);
    maybe_free(s);
}

struct session *session_new(const struct session_config *c)
{
    struct session *s = xcalloc(1, sizeof *s);
    assert(c->masters != NULL && c->masters[0] != NULL && c->name != NULL);
    s->config = *c;
    s->config.name = xstrdup(c->name);
    s->config.masters = NULL;
    net_tls_ref(c->tls);
    if (c->renew != NULL) {
        net_tls_set_refused(c->tls, str_of(renew_refused(c->renew)));
    }
    s->shared = (struct link_config){
        .loop = c->loop,
        .tls = c->tls,
        .renew = c->renew,
        .env = c->env,
        .log = c->log,
        .name = s->config.name,
        .instance = c->instance == NULL ? NULL : xstrdup(c->instance),
        .events = {on_hello, on_down, on_closed, on_link_request, on_link_notify, is_spare},
        .data = s,
    };
    for (unsigned i = 0; c->masters[i] != NULL; i++) {
        if (strlen(c->masters[i]) < NET_ADDR_MAX && find_link(s, c->masters[i]) == NULL) {
            add_link(s, c->masters[i], true);
        }
    }
    uint32_t r = 0;
    env_random(c->env, &r, sizeof r);
    unsigned configured = s->links_count;
    for (unsigned i = 0; c->learnt != NULL && c->learnt[i] != NULL; i++) {
        if (strlen(c->learnt[i]) < NET_ADDR_MAX && find_link(s, c->learnt[i]) == NULL) {
            add_link(s, c->learnt[i], false);
        }
    }
    s->config.learnt = NULL;
    s->next_link = r % configured; /* nodes spread over the masters */
    s->heartbeat_ms = API_HEARTBEAT_MS_DEFAULT;
    list_init(&s->calls);
    backoff_init(&s->backoff, BACKOFF_CONNECT_BASE_MS, BACKOFF_CONNECT_MAX_MS);
    uv_timer_init(c->loop, &s->search);
    uv_timer_init(c->loop, &s->heartbeat);
    s->search.data = s->heartbeat.data = s;
    return s;
}

void session_start(struct session *s)
{
    assert(s->state == SESSION_NONE);
    uv_timer_start(&s->search, on_search, 0, 0);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct session *s = h->data;
    s->handles--;
    maybe_free(s);
}

void session_stop(struct session *s, void (*cb)(void *data), void *data)
{
    assert(s->state != SESSION_STOPPING);
    s->stop_cb = cb;
    s->stop_data = data;
    s->main = NULL;
    close_orders(s);
    move(s, SESSION_STOPPING);
    s->handles = 2;
    uv_close((uv_handle_t *)&s->search, on_handle_closed);
    uv_close((uv_handle_t *)&s->heartbeat, on_handle_closed);
    for (unsigned i = 0; i < s->links_count; i++) {
        link_stop(s->links[i].link);
    }
}

void session_redial(struct session *s)
{
    for (unsigned i = 0; s->state != SESSION_STOPPING && i < s->links_count; i++) {
        link_leave(s->links[i].link, NULL, NULL);
    }
}

bool session_ready(const struct session *s)
{
    return s->state == SESSION_READY;
}

const char *session_leader(const struct session *s)
{
    return s->state == SESSION_READY ? link_address(s->main) : "";
}

unsigned session_links_up(const struct session *s)
{
    unsigned up = 0;
    for (unsigned i = 0; i < s->links_count; i++) {
        up += link_is_up(s->links[i].link);
    }
    return up;
}

struct refused_call {
    rpc_result_cb *cb;
    void *data;
};

static void refuse(void *data)
{
    struct refused_call *r = data;
    struct error err = {0};
    error_set(&err, ERR_CLOSED, "no leader is connected");
    struct rpc_result result = {.error = &err, .sent = false};
    r->cb(&result, r->data);
    free(r);
}

static void on_called(const struct rpc_result *r, void *data)
{
    struct main_call *c = data;
    list_remove(&c->link);
    if (c->cb != NULL) {
        c->cb(r, c->data);
    }
    free(c);
}

void session_call(struct session *s, const char *method, struct str params, rpc_result_cb *cb, void *data)
{
    if (s->state == SESSION_READY) {
        struct main_call *c = xmalloc(sizeof *c);
        *c = (struct main_call){.cb = cb, .data = data};
        list_init(&c->link);
        list_push_back(&s->calls, &c->link);
        rpc_call(link_rpc(s->main), method, params, SESSION_CALL_MS, on_called, c);
        return;
    }
    struct refused_call *r = xmalloc(sizeof *r);
    *r = (struct refused_call){cb, data};
    defer_call(s->config.loop, refuse, r);
}
