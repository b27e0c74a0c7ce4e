#include "agent/link/link.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/util/backoff.h"
#include "proto/rpc/api.h"

#define COMPLAINTS_MAX      6u
#define COMPLAINTS_PAUSE_MS 300000
#define RENEW_CALL_MS       15000

enum link_state { LINK_WAITING, LINK_DIALING, LINK_UP, LINK_LEAVING, LINK_STOPPED };

struct link {
    struct link_config *shared;
    char address[NET_ADDR_MAX];
    enum link_state state;
    bool was_up; /* LEAVING: on_down is owed */
    bool stopping, again, spare, tried;
    struct rpc_session *rpc;
    struct backoff backoff;
    uv_timer_t pause;
    bool hello_pending, doubted; /* doubted: the last hello had no answer in time */
    int64_t hello_ms;            /* its patience */
    int64_t master, term;
    bool leads, tells_standing, tells_serves, serves;
    char complaint[ERROR_MESSAGE_MAX]; /* last reason logged */
    unsigned complaints;               /* logged since complained_ms */
    int64_t complained_ms;
};

static const char *state_name(enum link_state s)
{
    static const char *const names[] = {"waiting", "dialing", "up", "leaving", "stopped"};
    return names[s];
}

/* From every state only these are reached. */
static const unsigned allowed[] = {
    [LINK_WAITING] = 1u << LINK_DIALING | 1u << LINK_STOPPED,
    [LINK_DIALING] = 1u << LINK_UP | 1u << LINK_LEAVING | 1u << LINK_WAITING,
    [LINK_UP] = 1u << LINK_LEAVING | 1u << LINK_WAITING,
    [LINK_LEAVING] = 1u << LINK_WAITING,
    [LINK_STOPPED] = 0,
};

static void move(struct link *l, enum link_state next)
{
    assert(allowed[l->state] & 1u << next);
    log_debug(l->shared->log, "link", "%s: %s -> %s", l->address, state_name(l->state), state_name(next));
    l->state = next;
}

void link_complain(struct link *l, const char *what, const struct error *why)
{
    char text[ERROR_MESSAGE_MAX];
    int64_t now = env_now_ms(l->shared->env);
    snprintf(text, sizeof text, "%.200s: %.700s", what, why == NULL ? "closed" : why->message);
    if (now - l->complained_ms > COMPLAINTS_PAUSE_MS) {
        l->complaints = 0;
        l->complaint[0] = '\0';
    }
    if (strcmp(text, l->complaint) == 0 || l->complaints >= COMPLAINTS_MAX) {
        return;
    }
    snprintf(l->complaint, sizeof l->complaint, "%s", text);
    l->complained_ms = l->complaints++ == 0 ? now : l->complained_ms;
    log_warn(l->shared->log, "link", "master %s: %s", l->address, text);
}

/* ---- Hanging up: on_close decides what is next ---- */

static void hang_up(struct link *l)
{
    if (l->state == LINK_LEAVING || l->rpc == NULL) {
        return;
    }
    l->was_up = l->state == LINK_UP;
    move(l, LINK_LEAVING);
    rpc_session_close(l->rpc);
}

void link_leave(struct link *l, const char *what, const struct error *why)
{
    if (what != NULL) {
        link_complain(l, what, why);
    }
    hang_up(l);
}

/* ---- Hello ---- */

/* By the master's clock our certificate has expired, by ours it has not. */
static bool wants_renewal(const struct link *l, const struct error *e)
{
    return strcmp(e->field, "cert.renew") == 0 && l->shared->renew != NULL;
}

static void on_hello(const struct rpc_result *r, void *data)
{
    struct link *l = data;
    l->hello_pending = false;
    if (l->state != LINK_DIALING && l->state != LINK_UP) {
        return;
    }
    if (r->error != NULL && wants_renewal(l, r->error)) {
        link_renew(l);
        return;
    }
    bool late = r->error != NULL && r->error->code == ERR_TIMEOUT;
    if (late && l->state == LINK_UP && !l->doubted) {
        /* We may have stood still, and the answer waits to be read; or the master did, which is no reason to cut
         * what streams over the link. */
        l->doubted = true;
        link_hello(l, l->hello_ms);
        return;
    }
    if (r->error != NULL) {
        if (r->error->code != ERR_CLOSED) { /* that one is told by on_close, with the reason */
            link_leave(l, "hello", r->error);
        }
        return;
    }
    l->doubted = false;
    l->tells_standing = mp_str(mp_get(r->result, "standing")).n > 0; /* an older master refuses what it does not know */
    l->master = mp_int(mp_get(r->result, "id"), 0);
    l->leads = str_is(mp_str(mp_get(r->result, "role")), "leader") ||
               (l->master != 0 && l->master == mp_int(mp_get(r->result, "leader"), 0));
    l->term = mp_int(mp_get(r->result, "term"), 0);
    l->tells_serves = mp_type(mp_get(r->result, "serves")) == MP_BOOL;
    l->serves = mp_bool(mp_get(r->result, "serves"), false);
    if (l->state == LINK_DIALING && l->shared->events.is_spare(l, l->shared->data)) {
        l->spare = true;
        hang_up(l);
        return;
    }
    if (l->state == LINK_DIALING) {
        move(l, LINK_UP);
        log_info(l->shared->log, "link", "master %" PRId64 " at %s is linked", l->master, l->address);
        backoff_reset(&l->backoff);
        l->complaint[0] = '\0';
        l->complaints = 0;
    }
    l->shared->events.on_hello(l, r->result, l->shared->data);
}

void link_hello(struct link *l, int64_t timeout_ms)
{
    if (l->rpc == NULL || l->hello_pending || l->state == LINK_LEAVING) {
        return;
    }
    struct link_config *c = l->shared;
    CLEANUP_BUF struct buf params = BUF_INIT;
    int64_t from_s = 0, until_s = 0;
    if (c->renew != NULL) {
        renew_life(c->renew, &from_s, &until_s);
    }
    bool standing = c->renew != NULL && renew_standing(c->renew)[0] != '\0' && l->tells_standing;
    mp_write_map(&params, 2 + (c->instance != NULL) + 2 * (c->renew != NULL) + standing);
    if (standing) {
        mp_write_key_str(&params, "standing", str_of(renew_standing(c->renew)));
    }
    mp_write_key_str(&params, "version", STR(REEVE_VERSION));
    mp_write_key_str(&params, "name", str_of(c->name));
    if (c->instance != NULL) {
        mp_write_key_str(&params, "instance", str_of(c->instance));
    }
    if (c->renew != NULL) {
        mp_write_key_int(&params, "certFrom", from_s);
        mp_write_key_int(&params, "certUntil", until_s);
    }
    l->hello_pending = true;
    l->hello_ms = timeout_ms;
    rpc_call(l->rpc, "hello", buf_str(&params), timeout_ms, on_hello, l);
}

/* ---- The certificate ---- */

static void on_renewed(struct net_tls *tls, const struct error *err, void *data)
{
    struct link *l = data;
    if (tls != NULL) {
        net_tls_unref(l->shared->tls);
        l->shared->tls = tls;
        net_tls_set_refused(tls, str_of(renew_refused(l->shared->renew)));
    }
    if (l->state != LINK_DIALING) {
        return; /* over a link in use, which goes on */
    }
    if (tls != NULL) {
        l->again = true; /* the same master, with the new one */
        hang_up(l);
    } else if (err->code != ERR_CLOSED) {
        link_leave(l, "renew the expired certificate", err);
    }
}

void link_renew(struct link *l)
{
    if (renew_asking(l->shared->renew)) { /* over another link; this one is tried again later */
        if (l->state == LINK_DIALING) {
            hang_up(l);
        }
        return;
    }
    renew_send(l->shared->renew, l->rpc, RENEW_CALL_MS, on_renewed, l);
}

/* ---- Dialing ---- */

static void dial(struct link *l);

static void on_pause_over(uv_timer_t *t)
{
    dial(t->data);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct link *l = h->data;
    l->shared->events.on_closed(l, l->shared->data);
}

static void stopped(struct link *l)
{
    move(l, LINK_STOPPED);
    uv_close((uv_handle_t *)&l->pause, on_timer_closed);
}

static void on_rpc_close(struct rpc_session *rpc, const struct error *why, void *data)
{
    struct link *l = data;
    (void)rpc;
    bool up = l->state == LINK_UP || (l->state == LINK_LEAVING && l->was_up);
    l->rpc = NULL;
    l->hello_pending = l->doubted = false;
    if (l->state != LINK_LEAVING && !l->stopping) {
        link_complain(l, l->state == LINK_DIALING ? "connect" : "connection lost", why);
    }
    move(l, LINK_WAITING);
    l->leads = l->serves = l->was_up = false;
    if (up) {
        l->shared->events.on_down(l, l->shared->data);
    }
    if (l->stopping) {
        stopped(l);
        return;
    }
    if (!l->again && !l->spare) {
        backoff_grow(&l->backoff, env_now_ms(l->shared->env));
    }
    int64_t pause = l->again ? 0 : l->spare ? LINK_SPARE_MS : backoff_jitter(&l->backoff, l->shared->env);
    l->again = l->spare = false;
    uv_timer_start(&l->pause, on_pause_over, (uint64_t)pause, 0);
}

static void on_rpc_request(struct rpc_session *rpc, struct rpc_request *r, struct str method, struct mp params,
                           void *data)
{
    struct link *l = data;
    (void)rpc;
    l->shared->events.on_request(l, r, method, params, l->shared->data);
}

static void on_rpc_notify(struct rpc_session *rpc, struct str method, struct mp params, void *data)
{
    struct link *l = data;
    (void)rpc;
    if (l->state == LINK_UP) {
        l->shared->events.on_notify(l, method, params, l->shared->data);
    }
}

static void dial(struct link *l)
{
    assert(l->state == LINK_WAITING && l->rpc == NULL && !l->stopping);
    struct link_config *c = l->shared;
    struct rpc_config config = {
        .handler = {.on_request = on_rpc_request, .on_notify = on_rpc_notify, .on_close = on_rpc_close},
        .data = l,
        .log = c->log,
    };
    l->tried = true;
    move(l, LINK_DIALING);
    l->rpc = rpc_session_connect(c->loop, c->tls, l->address, ALPN_RPC, LINK_CONNECT_MS, &config);
    if (c->renew != NULL && renew_expired(c->renew)) {
        link_renew(l);
    } else {
        link_hello(l, LINK_CONNECT_MS);
    }
}

void link_dial(struct link *l)
{
    if (l->state == LINK_WAITING && !l->stopping) {
        uv_timer_start(&l->pause, on_pause_over, 0, 0);
    }
}

bool link_dial_first(struct link *l, int64_t in_ms)
{
    if (l->tried || l->state != LINK_WAITING || l->stopping) {
        return false;
    }
    l->tried = true;
    uv_timer_start(&l->pause, on_pause_over, (uint64_t)in_ms, 0);
    return true;
}

/* ---- Life ---- */

struct link *link_new(struct link_config *shared, const char *address)
{
    struct link *l = xcalloc(1, sizeof *l);
    l->shared = shared;
    snprintf(l->address, sizeof l->address, "%s", address);
    backoff_init(&l->backoff, BACKOFF_CONNECT_BASE_MS, BACKOFF_CONNECT_MAX_MS);
    uv_timer_init(shared->loop, &l->pause);
    l->pause.data = l;
    return l;
}

void link_stop(struct link *l)
{
    if (l->stopping) {
        return;
    }
    l->stopping = true;
    uv_timer_stop(&l->pause);
    if (l->rpc != NULL) {
        hang_up(l);
    } else {
        stopped(l);
    }
}

void link_free(struct link *l)
{
    assert(l->state == LINK_STOPPED);
    free(l);
}

bool link_is_up(const struct link *l)
{
    return l->state == LINK_UP && rpc_session_is_open(l->rpc);
}

const char *link_address(const struct link *l)
{
    return l->address;
}

void *link_owner(const struct link *l)
{
    return l->shared->data;
}

struct rpc_session *link_rpc(struct link *l)
{
    assert(l->rpc != NULL);
    return l->rpc;
}

int64_t link_master(const struct link *l)
{
    return l->master;
}

bool link_leads(const struct link *l)
{
    return l->leads;
}

int64_t link_term(const struct link *l)
{
    return l->term;
}

void link_set_leads(struct link *l, bool leads, int64_t term)
{
    l->leads = leads;
    l->serves |= leads && l->tells_serves; /* a leader always does */
    l->term = MAX(l->term, term);
}

bool link_serves(const struct link *l)
{
    return l->serves;
}

bool link_tells_serves(const struct link *l)
{
    return l->tells_serves;
}

void link_set_unserving(struct link *l)
{
    l->serves = false;
}
