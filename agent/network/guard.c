#include "agent/network/guard.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

struct guard {
    uv_loop_t *loop;
    struct network *network; /* NULL: closed */
    const struct log *log;
    struct network_closed known[NETWORK_CLOSED_MAX];
    unsigned count, resolving;
    bool open; /* nothing is closed */
};

struct resolution {
    uv_getaddrinfo_t req;
    struct guard *guard;
    uint16_t port;
    char host[256];
};

struct guard *guard_new(uv_loop_t *loop, struct network *network, bool open, const struct log *log)
{
    struct guard *g = xcalloc(1, sizeof *g);
    *g = (struct guard){.loop = loop, .network = network, .log = log, .open = open};
    return g;
}

static void maybe_free(struct guard *g)
{
    if (g->network == NULL && g->resolving == 0) {
        free(g);
    }
}

static void tell(const struct guard *g)
{
    if (!g->open) {
        network_set_closed(g->network, g->known, g->count);
    }
}

void guard_set_open(struct guard *g, bool open)
{
    if (open != g->open) {
        g->open = open;
        network_set_closed(g->network, g->known, open ? 0 : g->count);
    }
}

/* True if it is new. */
static bool know(struct guard *g, const char *ip, uint16_t port)
{
    for (unsigned i = 0; i < g->count; i++) {
        if (strcmp(g->known[i].ip, ip) == 0 && g->known[i].port == port) {
            return false;
        }
    }
    if (g->count == NETWORK_CLOSED_MAX) {
        log_warn(g->log, "guard", "pods are not kept from %s:%u: there are more than %u addresses of masters", ip, port,
                 NETWORK_CLOSED_MAX);
        return false;
    }
    snprintf(g->known[g->count].ip, sizeof g->known[g->count].ip, "%s", ip);
    g->known[g->count++].port = port;
    return true;
}

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct resolution *r = CONTAINER_OF(req, struct resolution, req);
    struct guard *g = r->guard;
    bool any = false;
    g->resolving--;
    for (const struct addrinfo *ai = list; g->network != NULL && ai != NULL; ai = ai->ai_next) {
        char ip[INET_ADDRSTRLEN];
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)ai->ai_addr;
        if (ai->ai_family == AF_INET && inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip) != NULL) {
            any |= know(g, ip, r->port);
        }
    }
    if (status != 0 && status != UV_ECANCELED) {
        log_warn(g->log, "guard", "pods are not kept from master %s:%u: its name cannot be resolved: %s", r->host,
                 r->port, uv_strerror(status));
    }
    if (any) {
        tell(g);
    }
    uv_freeaddrinfo(list);
    free(r);
    maybe_free(g);
}

static void resolve(struct guard *g, const char *host, uint16_t port)
{
    struct resolution *r = xcalloc(1, sizeof *r);
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    r->guard = g;
    r->port = port;
    snprintf(r->host, sizeof r->host, "%s", host);
    if (uv_getaddrinfo(g->loop, &r->req, resolved, r->host, NULL, &hints) == 0) {
        g->resolving++;
    } else {
        free(r);
    }
}

void guard_add(struct guard *g, struct str address)
{
    char host[256], *colon;
    struct in_addr v4;
    int64_t port;
    if (address.n == 0 || address.n >= sizeof host || address.p[0] == '[') { /* pods have no IPv6 */
        return;
    }
    snprintf(host, sizeof host, "%.*s", STR_ARG(address));
    colon = strrchr(host, ':');
    if (colon == NULL || !str_to_int64(str_of(colon + 1), &port) || port < 1 || port > 65535) {
        return;
    }
    *colon = '\0';
    if (inet_pton(AF_INET, host, &v4) != 1) {
        resolve(g, host, (uint16_t)port);
    } else if (know(g, host, (uint16_t)port)) {
        tell(g);
    }
}

void guard_close(struct guard *g)
{
    g->network = NULL;
    maybe_free(g);
}
