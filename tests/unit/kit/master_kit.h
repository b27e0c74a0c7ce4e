/* What the tests of the master share: real masters as child processes on loopback, in a directory of their own, and
 * clients, agents and strangers that talk to them from one loop.
 *
 * Parameters are written as YAML in flow style; answers are documents that live as long as the kit. Whatever a test
 * waits for has a deadline (KIT_WAIT_MS), and missing it fails the test. A master that ends otherwise than it was
 * told to fails the test that stops it. */
#ifndef TESTS_MASTER_KIT_H
#define TESTS_MASTER_KIT_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <uv.h>

#include "base/env.h"
#include "base/list.h"
#include "base/mem.h"
#include "proto/net/net.h"
#include "proto/pki/pki.h"
#include "proto/rpc/rpc.h"
#include "proto/text/text.h"

#define KIT_MASTERS_MAX 8
#define KIT_WAIT_MS     60000
#define KIT_END_MS      60000 /* for a master that was told to end; then it is killed */
#define KIT_TOLD_BYTES  (64u << 10)

struct kit {
    char dir[128];
    struct kit_master {
        char dir[160], log[200], addr[64];
        pid_t pid;   /* 0: not running */
        off_t begun; /* of its log: what it wrote since its last start begins here */
        bool newer;  /* runs tests/reeve-master-next */
    } masters[KIT_MASTERS_MAX];
    unsigned masters_count;
    uv_loop_t loop;
    uv_timer_t timer;
    struct arena arena;
    unsigned clients_open;
    struct list clients; /* struct client.link */
    char *ca, *ca_key;
    const char *const *run_args; /* NULL-terminated, added to init and join */
    unsigned descriptors;        /* hard RLIMIT_NOFILE of programs started from now on (soft: half of it); 0: ours */
    void (*meanwhile)(struct kit *k); /* called again and again while a program runs; NULL: nothing */
};

/* Environment for whoever looks for a fault: TEST="PATTERN..." runs some of the tests (filter.c), KEEP=1 leaves the
 * directory behind, SEED=n is another course of what is random, COST=1 tells what each master has cost when it is
 * stopped. */

/* A directory and an empty loop; no master yet. */
struct kit *kit_new(void);
/* Stops what runs, frozen or not (SIGTERM; must end with 0), and removes the directory. */
void kit_free(struct kit *k);
/* `init` of master 0, with fast timings and args (NULL-terminated list, may be NULL; kept for those who join). */
void kit_init(struct kit *k, const char *const *args);
/* `join` of the next master through master `by`; its number. */
unsigned kit_join(struct kit *k, unsigned by);
/* The same with a token of the test's; exit code, and what it said in *said (malloc). */
int kit_join_with(struct kit *k, unsigned by, const char *token, char **said);
/* And with addresses to ask, comma separated. The newcomer's own address is a fresh one, unless the test has filled
 * in masters[].addr. */
int kit_join_at(struct kit *k, const char *by, const char *token, char **said);
void kit_start(struct kit *k, unsigned i);
/* From the next start on, and for join: the program of the next release (tests/next), or this one. */
void kit_set_newer(struct kit *k, unsigned i, bool newer);
/* As kit_rctl, by tests/rctl-next. */
int kit_rctl_newer(struct kit *k, char **said, const char *const *args);
/* The same with failpoints armed (base/failpoint.h); such a master may end by itself. */
void kit_start_armed(struct kit *k, unsigned i, const char *failpoints);
/* Waits until it has ended by itself; its exit code (128 + signal). */
int kit_wait_end(struct kit *k, unsigned i);
/* Has the failpoint that it is armed with as `stand` stopped it since? True once each time. */
bool kit_stands(struct kit *k, unsigned i);
void kit_wait_standing(struct kit *k, unsigned i); /* until it has */
/* The signal, and waits for the end. All but SIGKILL: must exit with 0. A frozen one goes on first, and one that was
 * started a moment ago hears it when it can. */
void kit_stop(struct kit *k, unsigned i, int sig);
/* SIGSTOP and SIGCONT to a master that runs. A test that freezes one has a tear-down of its own that calls
 * kit_thaw_all: if the test fails, the next one does not meet a frozen master. */
void kit_freeze(struct kit *k, unsigned i);
void kit_thaw(struct kit *k, unsigned i);
void kit_thaw_all(struct kit *k);
/* One running master, ready to write. */
struct kit *kit_one(const char *const *args);
/* Until so many members vote, as master `by` says. */
void kit_wait_voters(struct kit *k, unsigned by, unsigned wanted);
/* Until so many voters have their parts of the CA's key, and nobody has it in clear; the generation. */
int64_t kit_wait_parts(struct kit *k, unsigned parts);
/* Three running masters, all voters. */
struct kit *kit_three(const char *const *args);
/* Runs the program with arguments until it ends: exit code; stdout and stderr together in *said (malloc; may be
 * NULL). */
int kit_run(struct kit *k, char **said, const char *const *args);
/* The same with rctl and the first administrator's configuration, which must know a master that runs (`config
 * set-servers`). */
int kit_rctl(struct kit *k, char **said, const char *const *args);
const char *kit_program(void);
unsigned kit_free_port(void);
/* Everything a running or ended master wrote to stderr (malloc). */
char *kit_log(struct kit *k, unsigned i);
/* What it wrote since its last start, the last KIT_TOLD_BYTES of it, to stderr: the text of a failure is cut. */
void kit_tell_log(struct kit *k, unsigned i);
/* Resident memory of master i, and the processor time it has used. */
size_t kit_memory_kb(struct kit *k, unsigned i);
int64_t kit_cpu_ms(struct kit *k, unsigned i);

/* Turns the loop until *done; fails the test after KIT_WAIT_MS. */
void kit_until(struct kit *k, const bool *done, const char *what);
void kit_turn(struct kit *k, int64_t ms); /* turns the loop until something happened, at most so long */
int64_t kit_now(void);
/* Waits until the masters know a leader among them and it takes writes; its number. */
unsigned kit_leader(struct kit *k);
struct value *kit_doc(struct kit *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct value *kit_vdoc(struct kit *k, const char *fmt, va_list ap);

/* ---- Clients ---- */

struct client {
    struct list link;
    struct kit *kit;
    struct rpc_session *rpc; /* NULL: closed */
    char addr[64];
    struct error err;     /* of the last call; code 0 = it succeeded */
    struct error why;     /* why it was closed */
    struct value *result; /* of the last call */
    /* Requests from the other side; NULL: refused. */
    void (*on_request)(struct client *c, struct rpc_request *r, struct str method, struct mp params);
    void (*on_notify)(struct client *c, struct str method, struct mp params);
    void *data;
};
struct client *client_as(struct kit *k, unsigned master, enum pki_role role, const char *name);
struct client *client_with(struct kit *k, unsigned master, struct net_tls *tls); /* tls: a reference is taken */
struct client *client_as_raft(struct kit *k, unsigned master,
                              unsigned id); /* as another master, on the masters' protocol */
struct client *client_admin(struct kit *k, unsigned master);
void client_close(struct client *c); /* hangs up and frees */

/* 0 or the error's code; c->result and c->err. */
int call(struct client *c, const char *method, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int call_value(struct client *c, const char *method, const struct value *params);
/* Must succeed; the result. Repeats while there is no leader. */
struct value *must(struct client *c, const char *method, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct value *must_value(struct client *c, const char *method, const struct value *params);
/* For requests of which several are on their way: rpc_call(c->rpc, ..., take_answer, &a), then
 * kit_until(k, &a.done, ...).
 */
struct answer {
    bool done;
    struct error err; /* code 0 = it succeeded */
    int64_t count;    /* "count" of the result; -1: there is none */
};
void take_answer(const struct rpc_result *r, void *data); /* data: a struct answer */
/* Must be refused with this code; the message must contain `text` (NULL: any). */
void refused(struct client *c, int code, const char *text, const char *method, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Text, number at a dotted path of the last result; "" and -1 if absent. Text is valid as long as the kit. */
const char *text_at(struct client *c, const char *path);
int64_t int_at(struct client *c, const char *path);
const char *value_text(struct kit *k, const struct value *v, const char *path);

/* One request over HTTPS without a certificate ("GET /api"), with this token: its status, and the whole answer in
 * *answer if that is not NULL, valid as long as the kit. body: JSON, or NULL. Waits without the loop. */
int kit_https(struct kit *k, unsigned master, const char *token, const char *request, const char *body, char **answer);

/* ---- Streams ---- */

struct stream {
    struct client *client; /* may be gone */
    struct kit *kit;
    struct rpc_stream *stream;
    bool open, ended, local_ended;
    bool hold; /* do not consume: the other side runs out of credit */
    size_t held_bytes, bytes;
    struct error end; /* code 0: regular */
    struct value **items;
    unsigned count, cap, taken;
    bool count_only; /* payloads are counted in bytes, not kept */
};
struct stream *stream_open(struct client *c, const char *method, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Answers a request with a stream. */
struct stream *stream_accept(struct client *c, struct rpc_request *r);
/* The next payload; NULL when the stream has ended (regularly or not). Fails after KIT_WAIT_MS. */
struct value *stream_next(struct stream *s);
/* Is there none for so long? */
bool stream_quiet(struct stream *s, int64_t ms);
void stream_wait_end(struct stream *s);
int stream_send(struct stream *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void stream_release(struct stream *s); /* consume what is held, and go on consuming */
void stream_end(struct stream *s, const struct error *err);
/* Ends our side if it has not, waits for the other's, frees. */
void stream_close(struct stream *s);

#endif
