/* What the files of the api share; nobody else includes this. */
#ifndef CLIENT_API_INTERNAL_H
#define CLIENT_API_INTERNAL_H

#include "client/api.h"

struct api {
    uv_loop_t loop;
    uv_timer_t timer;
    struct net_tls *tls;
    struct rpc_session *session; /* to servers[next_server % servers_count], or NULL */
    unsigned sessions_open;      /* also those that are closing */
    char *servers[CONFIG_SERVERS_MAX];
    unsigned servers_count, next_server;
    char *pinned;
    char *cluster;
    int64_t deadline_ms;
    bool notes, refused, connected_before;
    struct { /* api_ping.c */
        uv_timer_t timer;
        unsigned users, fixed; /* fixed: of them, those that end with the session */
        unsigned leaderless;
        bool asked;
    } ping;
};
void api_ping_init(struct api *a);

int64_t api_now(void);
void api_pause(struct api *a, int64_t ms);
struct rpc_session *api_connect(struct api *a); /* the current session, or a new one that is still connecting */
void api_next_server(struct api *a);
bool api_worth_retry(const struct error *e);
struct value *api_query_params(struct arena *arena, const struct api_list_query *q); /* kind, namespace, selectors */

#endif
