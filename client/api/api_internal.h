/* What the files of the api share; nobody else includes this. */
#ifndef CLIENT_API_API_INTERNAL_H
#define CLIENT_API_API_INTERNAL_H

#include <stdio.h>

#include "client/api/api.h"

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
    int64_t connect_ms; /* how long a connection and its handshake may take, in the first round */
    unsigned round;     /* of the present call: the time is doubled with each */
    bool notes, refused, connected_before;
    bool slow; /* in the present call a connection was accepted and then nothing came of it: somebody may be there */
    bool no_timeout_param; /* a master that knows no timeoutMs has been met */
    struct buf as;         /* as whom requests are made, a map; empty: as oneself */
    FILE *tell;            /* what is waited for; NULL = nobody asks */
    char standing[PKI_STANDING_SIZE];
    char *refused_masters;
    bool told_cut; /* that streams were cut, since they last were well */
    struct {       /* api/ping.c */
        uv_timer_t timer;
        unsigned users, fixed; /* fixed: of them, those that end with the session */
        unsigned leaderless;
        bool asked;
        int64_t period_ms, late_ms; /* API_PING_MS, API_PING_LATE_MS */
    } ping;
};
void api_ping_init(struct api *a);

/* ---- api/api.c: the loop and the session ---- */

int64_t api_now(void);
const char *api_server(const struct api *a);      /* the one in use, or the next to be tried */
void api_turn(struct api *a, int64_t timeout_ms); /* one turn of the loop, at most so long */
void api_pause(struct api *a, int64_t ms);
struct rpc_session *api_connect(struct api *a); /* the current session, or a new one that is still connecting */
void api_next_server(struct api *a);            /* closes the session: the next call goes to the master behind */

/* ---- api/wait.c ---- */

/* Of one operation, over all its attempts. */
struct api_patience {
    int64_t start_ms;
    char text[256]; /* what it waits for at the moment; "" = not known yet */
    char told[256];
};
enum api_waited {
    API_WAIT_DONE,
    API_WAIT_LATE,   /* the deadline has passed */
    API_WAIT_SILENT, /* this master does not answer anything */
    API_WAIT_DEAD,   /* this master says that most of them are dead */
};
void api_patience_init(struct api_patience *p);
void api_waits_for(struct api_patience *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Until *done, which something asked on the present session will set. A `hello` goes out each probe_ms; one that has no
 * answer in silent_ms is the end. deadline_ms: as of api_now(), INT64_MAX = none. */
enum api_waited api_wait(struct api *a, struct api_patience *p, const bool *done, int64_t deadline_ms, int64_t probe_ms,
                         int64_t silent_ms);
/* A pause, in which it is told what it is for. */
void api_rest(struct api *a, struct api_patience *p, int64_t ms);

/* ---- api/call.c ---- */

/* The parameters, a map, with timeoutMs: what is left of the caller's patience; and with whom it is asked as. To a
 * master that knows no timeoutMs they go without it. */
void api_add_timeout(const struct api *a, struct buf *out, struct str params, int64_t left_ms);
/* True if `e` says that the master knows no timeoutMs, and this is the first time: the caller asks again, and from now
 * on it is not sent. */
bool api_old_master(struct api *a, const struct error *e);
bool api_worth_retry(const struct error *e); /* another master, or the same one later, may do better */

/* ---- api/object.c ---- */

struct value *api_query_params(struct arena *arena, const struct api_list_query *q); /* kind, namespace, selectors */

#endif
