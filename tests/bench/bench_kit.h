/* What benchmark programs share: sessions to the masters of a client configuration, latency samples, result lines.
 * A line is `bench NAME VALUE UNIT` on stdout; nothing else goes there. */
#ifndef TESTS_BENCH_KIT_H
#define TESTS_BENCH_KIT_H

#include <uv.h>

#include "client/api/config.h"
#include "proto/rpc/rpc.h"

#define KIT_SESSIONS 8u

struct kit {
    uv_loop_t loop;
    struct arena arena;
    struct config_target target;
    struct net_tls *tls;
    struct rpc_session *sessions[KIT_SESSIONS];
    unsigned sessions_count;
    unsigned open; /* connections of kit_connect that have not ended */
};

/* Exits with a message if the configuration is missing or wrong. */
void kit_open(struct kit *k, const char *config_path);
void kit_close(struct kit *k);
/* What all threads of a process have been on a core; 0 if there is none (any more). */
uint64_t kit_cpu_us(pid_t pid);
uint64_t kit_thread_cpu_us(pid_t tid); /* of one; a process's first thread has its number */
/* KIT_SESSIONS connections to the leader (follows hello); exits if there is none within 10 s. */
void kit_connect_leader(struct kit *k);
void kit_connect_follower(struct kit *k);
char *kit_leader_address(struct kit *k); /* free() it; exits if there is none within 10 s */
struct rpc_session *kit_connect(struct kit *k, const char *address);
void kit_disconnect(struct kit *k); /* waits until all that kit_connect made have ended: close others before */
/* Runs the loop until *done; exits after limit_ms. */
void kit_run(struct kit *k, const bool *done, int64_t limit_ms);
/* One call, waited for. 0 or the error's code; result appended to out. */
int kit_call(struct kit *k, struct rpc_session *s, const char *method, const struct buf *params, struct buf *out,
             struct error *err);

uint64_t kit_now_us(void);
struct samples {
    uint32_t *us;
    size_t count, cap;
};
void samples_add(struct samples *s, uint64_t us);
uint32_t samples_percentile(struct samples *s, double p); /* sorts */
void samples_close(struct samples *s);
void kit_line(const char *name, double value, const char *unit);

#endif
