/* The node's side of other nodes' pods: when their ways are looked at (overlay.h), and the rules of the tunnel.
 *
 * At once when masters tell something new or the kernel tells that something has changed, but not more than a twentieth
 * of the time is spent with it: a crowd of nodes that come one by one, or a routing daemon that never rests, is looked
 * at in bundles. After an error once more, PEERS_RETRY_MS later and then less and less often. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/network/network_int.h"
#include "agent/network/overlay.h"
#include "agent/runtime/process.h"

#define PEERS_RETRY_MS     1000u
#define PEERS_RETRY_MAX_MS 30000u
#define PEERS_SHARE        20u
#define RULES_SHARE        4u

struct network_peers {
    struct network *n;
    struct overlay *overlay;
    struct overlay_config config;
    struct overlay_peer *list;
    unsigned count;
    bool told;
    uv_poll_t watch;
    uv_timer_t timer;
    uint64_t free_ms; /* not before */
    uint64_t retry_ms;
    char last_error[ERROR_MESSAGE_MAX];
    struct buf rules; /* as the kernel has them; empty: not known */
    bool rules_running;
    uint64_t rules_begun_ms, rules_free_ms; /* the next ones not before */
};

static void run(struct network_peers *p);

static void on_timer(uv_timer_t *t)
{
    run(t->data);
}

static void run_in(struct network_peers *p, uint64_t wait_ms)
{
    if (!p->n->closing && (!uv_is_active((uv_handle_t *)&p->timer) || uv_timer_get_due_in(&p->timer) > wait_ms)) {
        uv_timer_start(&p->timer, on_timer, wait_ms, 0);
    }
}

static void retry(struct network_peers *p)
{
    p->retry_ms = p->retry_ms == 0 ? PEERS_RETRY_MS : MIN(p->retry_ms * 2, (uint64_t)PEERS_RETRY_MAX_MS);
    run_in(p, p->retry_ms);
}

/* ---- Rules ---- */

static void run_rules(struct network_peers *p);

static void rules_written(struct process *process, const struct process_result *r, void *data)
{
    struct network *n = data;
    struct network_peers *p = n->peers;
    struct error err = {0};
    (void)process;
    uint64_t now_ms = uv_hrtime() / 1000000;
    p->rules_running = false;
    p->rules_free_ms = now_ms + (now_ms - p->rules_begun_ms) * RULES_SHARE;
    if (process_result_error(r, "nft", &err) != 0) {
        log_warn(n->log, "network", "the tunnel to other nodes is not guarded as it should be: %s", err.message);
        buf_reset(&p->rules);
        retry(p);
    } else if (!n->closing) {
        run_rules(p);
    }
    network_release(n);
}

static void run_rules(struct network_peers *p)
{
    struct network *n = p->n;
    CLEANUP_BUF struct buf text = BUF_INIT;
    const char *argv[] = {"nft", "-f", "-", NULL};
    overlay_rules_write(p->overlay, n->bridge, &text);
    if (p->rules_running || (text.size == p->rules.size && memcmp(text.data, p->rules.data, text.size) == 0)) {
        return;
    }
    uint64_t now_ms = uv_hrtime() / 1000000;
    if (now_ms < p->rules_free_ms) {
        run_in(p, p->rules_free_ms - now_ms);
        return;
    }
    p->rules_begun_ms = now_ms;
    buf_reset(&p->rules);
    buf_append(&p->rules, text.data, text.size);
    p->rules_running = true;
    network_watch_want(n, OVERLAY_TABLE, overlay_has_tunnel(p->overlay));
    n->holders++;
    process_run(n->loop, &(struct process_spec){.argv = argv, .input = buf_str(&text), .timeout_ms = NETWORK_PLUGIN_MS},
                rules_written, n);
}

/* ---- Ways ---- */

static void run(struct network_peers *p)
{
    struct network *n = p->n;
    struct error err = {0};
    if (n->closing || !p->told) {
        return;
    }
    uv_timer_stop(&p->timer);
    if (!cidr_parse(str_of(n->pod_cidr), &p->config.pods)) {
        p->config.pods = (struct cidr){0};
    }
    uint64_t before_ns = uv_hrtime();
    overlay_set(p->overlay, &p->config, p->list, p->count);
    int rc = overlay_sync(p->overlay, &err);
    p->free_ms = (uv_hrtime() + (uv_hrtime() - before_ns) * PEERS_SHARE) / 1000000;
    if (rc == 0) {
        p->retry_ms = 0;
        p->last_error[0] = '\0';
    } else {
        if (strcmp(err.message, p->last_error) != 0) {
            log_warn(n->log, "network", "%s", err.message);
        }
        memcpy(p->last_error, err.message, sizeof p->last_error);
        retry(p);
    }
    run_rules(p);
}

void network_peers_changed(struct network *n)
{
    struct network_peers *p = n->peers;
    if (p == NULL || n->closing || !p->told) {
        return;
    }
    uint64_t now_ms = uv_hrtime() / 1000000;
    if (now_ms >= p->free_ms) {
        run(p);
    } else {
        run_in(p, p->free_ms - now_ms + 1);
    }
}

static void on_watch(uv_poll_t *w, int status, int events)
{
    struct network_peers *p = w->data;
    (void)events;
    if (status < 0) { /* more was told than the socket holds: libuv takes that for its end */
        uv_poll_start(w, UV_READABLE, on_watch);
    }
    if (overlay_touched(p->overlay)) {
        network_peers_changed(p->n);
    }
}

int network_set_routes(struct network *n, const struct network_route *routes, unsigned count, struct error *err)
{
    struct network_peers *p = n->peers;
    struct overlay_peer *list = xcalloc((size_t)count + 1, sizeof *list);
    unsigned used = 0;
    int first = 0;
    for (unsigned i = 0; i < count; i++) {
        struct overlay_peer *one = &list[used];
        if (!cidr_parse(str_of(routes[i].pod_cidr), &one->pods) ||
            !cidr_parse_address(str_of(routes[i].node_ip), &one->node)) {
            first = error_set(err, ERR_INVALID, "cannot route %s to node %s: malformed", routes[i].pod_cidr,
                              routes[i].node_ip);
        } else {
            used++;
        }
    }
    if (p == NULL) {
        free(list);
        return first;
    }
    free(p->list);
    p->list = list;
    p->count = used;
    p->told = true;
    network_peers_changed(n);
    return first;
}

void network_set_overlay(struct network *n, struct str mode, int64_t id, int64_t port)
{
    struct network_peers *p = n->peers;
    if (p == NULL) {
        return;
    }
    struct overlay_config was = p->config;
    p->config.mode = OVERLAY_AUTO;
    (void)overlay_mode_parse(mode, &p->config.mode);
    p->config.id = id >= 1 && id < 1 << 24 ? (uint32_t)id : OVERLAY_ID;
    p->config.port = port >= 1 && port <= UINT16_MAX ? (uint16_t)port : OVERLAY_PORT;
    if (was.mode != p->config.mode || was.id != p->config.id || was.port != p->config.port) {
        network_peers_changed(n);
    }
}

static void set_node(struct network_peers *p, const char *node_ip)
{
    if (node_ip == NULL || !cidr_parse_address(str_of(node_ip), &p->config.node) || p->config.node >> 24 == 127) {
        p->config.node = 0; /* of a machine without a default route, whose address nobody gave */
    }
}

void network_set_node(struct network *n, const char *node_ip)
{
    if (n->hollow || n->closing) {
        return;
    }
    if (n->peers != NULL) {
        set_node(n->peers, node_ip);
        network_peers_changed(n);
    }
    if (n->pod_cidr[0] != '\0') {
        n->rules_dirty = true; /* they name what is an address of this node */
        network_rules_run(n);
    }
}

unsigned network_pods_mtu(const struct network *n)
{
    struct overlay_state s = {0};
    if (n->mtu == 0 && n->peers != NULL) {
        overlay_get_state(n->peers->overlay, &s);
    }
    return n->mtu != 0 ? n->mtu : s.pods_mtu;
}

void network_peers_mend_rules(struct network *n)
{
    if (n->peers != NULL) {
        buf_reset(&n->peers->rules);
        network_peers_changed(n);
    }
}

void network_check_peers(struct network *n)
{
    network_peers_changed(n);
}

/* ---- Open and close ---- */

int network_peers_open(struct network *n, const char *node_ip, struct error *err)
{
    struct overlay *o;
    int rc = overlay_new(n->log, &o, err);
    if (rc != 0) {
        return rc;
    }
    struct network_peers *p = n->peers = xcalloc(1, sizeof *p);
    p->n = n;
    p->overlay = o;
    p->config = (struct overlay_config){.id = OVERLAY_ID, .port = OVERLAY_PORT};
    set_node(p, node_ip);
    uv_timer_init(n->loop, &p->timer);
    uv_poll_init(n->loop, &p->watch, overlay_watch(o));
    p->timer.data = p->watch.data = p;
    uv_poll_start(&p->watch, UV_READABLE, on_watch);
    n->holders += 2;
    return 0;
}

static void on_closed(uv_handle_t *h)
{
    network_release(((struct network_peers *)h->data)->n);
}

void network_peers_close(struct network *n)
{
    if (n->peers != NULL) {
        uv_close((uv_handle_t *)&n->peers->timer, on_closed);
        uv_close((uv_handle_t *)&n->peers->watch, on_closed);
    }
}

void network_peers_free(struct network *n)
{
    struct network_peers *p = TAKE_PTR(n->peers);
    if (p != NULL) {
        overlay_free(p->overlay);
        buf_close(&p->rules);
        free(p->list);
        free(p);
    }
}
