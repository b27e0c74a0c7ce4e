/* Inside reeve-master: the daemon's state and the interfaces between its files. Nobody outside master/ includes this.
 *
 * One libuv loop owns everything. Requests come in on rpc sessions (clients and agents: ALPN reeve-rpc/1, masters: reeve-raft/1), are
 * checked against the method table (methods.c), and are answered at commit. Any master serves reads, after the leader has confirmed an
 * index; writes go to the leader. Agents keep a connection to each master: every one of them hears their heartbeats and reaches their nodes, whoever leads
 * (nodes.c, relay.c). */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <uv.h>

#include "base/list.h"
#include "base/strmap.h"
#include "master/config.h"
#include "master/core.h"
#include "master/daemon.h"
#include "master/front/turns.h"
#include "proto/net/net.h"
#include "proto/rpc/api.h"
#include "proto/rpc/rpc.h"
#include "raft-store/raft/replica.h"
#include "raft-store/raft/transport.h"
#include "raft-store/raft/uv_io.h"

#define MASTER_WATCHES_MAX             50000u
#define MASTER_WATCHES_PER_SESSION_MAX 1000u
/* Of the places for watches: a node follows its own pods alone, users leave some for each other, and all leave some for administrators. */
#define MASTER_WATCHES_NODE_MAX      16u                       /* of one node */
#define MASTER_WATCHES_SUBJECT_MAX   (MASTER_WATCHES_MAX / 4)  /* of one user */
#define MASTER_WATCHES_RESERVE       (MASTER_WATCHES_MAX / 10) /* nodes take none of these */

#define MASTER_STRANGER_MESSAGE_MAX  (64u << 10) /* of a connection without certificate: hello and join */
#define MASTER_STRANGER_ELEMENTS_MAX 1024u
#define MASTER_NODE_MESSAGE_MAX      (4u << 20) /* of an agent */
#define MASTER_NODE_ELEMENTS_MAX     (128u << 10)
#define MASTER_STRANGER_INFLIGHT_MAX 4u
#define MASTER_STRANGER_IDLE_MS      10000        /* without a request it is closed */
#define MASTER_STRANGER_LIFE_MS      300000       /* and between two requests, whatever it does */
#define MASTER_REQUEST_BYTES_MAX     (512u << 20) /* of requests that have no answer yet */
#define MASTER_SESSION_BYTES_MAX     (64u << 20) /* of one connection: its requests, and the answers it does not read */
#define MASTER_FORWARD_TIMEOUT_MS    30000
#define MASTER_WAIT_MS               10000  /* a request that says no timeoutMs waits for a leader so long */
#define MASTER_WAIT_MAX_MS           600000 /* and no request longer, whatever it says */
#define MASTER_PARKED_MAX            8192u  /* requests that wait for a leader */
#define MASTER_READ_TIMEOUT_MS       10000

/* The certificate in use, and its renewal. */
struct identity {
    int64_t from_s, until_s; /* its life */
    char serial[PKI_SERIAL_SIZE];
    int64_t ca_from_s, ca_until_s;
    int64_t due_ms;      /* wall clock: the next attempt to renew; INT64_MAX = never, it ends with the CA */
    unsigned failures;   /* in a row */
    unsigned generation; /* counts identity_load: a renewal that began before one is of no use */
    bool renewing;
    char error[256]; /* of the last failure; "" = none */
};

struct watch_table;
struct list_pages;
struct sched_explain;
struct allowance;
struct listing;
struct revoked;

struct master_stats {
    uint64_t requests, refused, forwarded, watch_events, heartbeats, joins, certificates, bad_params, refused_bytes,
        backups, parked, park_refused, wrong_tokens, renewals_refused, node_refused, events_dropped, strangers_late,
        late, watches_refused, list_pieces, revoked_calls, revoked_sessions;
};

struct master {
    struct master_config config;
    const struct env *env;
    struct log log;
    uv_loop_t loop;
    uv_check_t check;
    uv_prepare_t prepare;
    uv_idle_t idle; /* runs while deciders have work left */
    uv_timer_t deadline, chores;
    uv_signal_t sigterm, sigint;
    struct net_tls *tls;
    struct net_listener *listeners[4];
    unsigned listeners_count;
    struct rpc_stats rpc_stats;
    struct net_gate *gate; /* places for connections, of all listeners */
    struct turns *turns;
    struct list sessions;  /* struct session.link */
    struct list strangers; /* struct session.stranger_link */
    struct list feeds;     /* feeds.c */
    struct list asked;     /* ask.c */
    struct list parked;    /* parked.c */
    struct list relays;    /* relay.c: streams that wait for the leader to open them */
    uv_timer_t parked_timer;
    unsigned parked_count;
    struct list backups; /* backup.c */
    unsigned backups_count;
    struct strmap agents; /* node name -> struct session: the link of its agent to this master */
    struct uv_io *io;
    struct transport *transport;
    struct replica *replica;
    struct core *core;
    struct watch_table *watches;
    struct list_pages *pages;
    struct allowance *wrong_tokens;              /* by network */
    struct allowance *renewals;                  /* by identity: its certificate */
    struct allowance *node_kib, *replica_events; /* by node: bytes that it writes, events that it tells */
    struct revoked *revoked;
    struct master_stats stats;
    size_t request_bytes; /* of all sessions */
    struct {
        uint64_t max, looked_at, bytes, most, shed;
    } held; /* held.c: as last looked at; the most ever; connections ended for it */
    char *ca_pem, *ca_key_pem;
    uint8_t seal_key[32];
    struct identity identity;
    unsigned chores_done; /* timer ticks */
    int exit_code;
    bool stopping;
    struct list changes; /* change.c */
    bool settling;
    enum master_damage damage;
    struct error damage_error;
    char *known_masters;        /* the file `masters` as written (known.c) */
    int64_t leader_seen_ms;     /* removed.c: a leader was known then */
    uint64_t disbelieved;       /* removed.c: the master whose word was last not taken */
    bool announced, announcing; /* our addresses are in the cluster's list; are on their way */
};

/* A client's or agent's connection. */
struct session {
    struct list link;
    struct master *m;
    struct rpc_session *rpc;
    struct pki_identity who;
    struct pki_facts facts;            /* of its certificate */
    int64_t cert_from_s, cert_until_s; /* life of its certificate, or of the one it was given since */
    bool expired;                      /* let in to renew it, and for nothing else */
    bool revoked;                      /* its certificate: calls are refused, and it is closed */
    bool answer_owed;                  /* of a cert.revoke that ends it: closed a little later */
    char node[PKI_NAME_MAX + 1];       /* agents: the link of this node (nodes.c) */
    struct subject *subject;           /* a reference */
    struct lane lane;                  /* its requests that wait for their turn */
    int64_t beat_ms;                   /* the newest heartbeat that was looked at */
    unsigned watches;
    size_t request_bytes; /* of the requests that have no answer yet */
    struct list stranger_link;
    int64_t since_ms, heard_ms; /* strangers: connected; last busy */
    struct error *refusal;      /* it has no place: what every request hears */
};

/* ---- daemon.c ---- */

void master_stop(struct master *m, int exit_code);
/* Something changed outside of a callback of the loop's: make sure a turn follows. */
void master_wake(struct master *m);
/* The calling worker thread gives way to the loop from now on, where both want the same core. */
void master_step_back(void);

/* ---- sessions.c: connections that were let in, and those that were not ---- */

/* For net_listener_config. */
void sessions_on_conn(struct net_conn *c, void *m);
void sessions_on_refused(struct net_conn *c, const struct error *why, void *m);
void sessions_tick(struct master *m); /* strangers that are idle, or have been here for long, are closed */
void sessions_write_places(struct master *m,
                           struct buf *b); /* "connections": [{of, open, places, refused}], into a map */

/* ---- identity.c: our keys and certificates ---- */

/* Reads CA, certificate, key and the key that seals Secrets from the data directory and takes them into use: at the start, and again after a
 * rejoin has written new ones (new handshakes take the new certificate, connections that are open stay; the store keeps the
 * seal key it was made with). A certificate that has expired, or names another id than the configuration, is replaced by a new one first: the CA's
 * key is here. On failure nothing has changed. Blocking, short. Loop thread only. */
int identity_load(struct master *m, struct error *err);
/* Renews the certificate when it is due, with a fresh key, on a worker thread: called from the timer of chores. */
void identity_tick(struct master *m);
enum pki_state identity_state(const struct master *m);

/* ---- call.c: one request on its way ---- */
struct call;
typedef void call_fn(struct call *c);
struct call {
    struct master *m;
    struct rpc_request *req; /* NULL once answered */
    bool forwarded;          /* by another master, which vouches for `who` */
    struct pki_identity who;
    struct pki_facts facts; /* of the certificate that proved it; serial "": not known */
    struct str method;      /* both borrowed: valid while the request is being handled, and again inside `then` */
    struct mp params;
    struct arena arena;
    const struct method *row;
    struct work work;        /* while it waits for its turn (turns.h) */
    struct subject *subject; /* a reference, of one that was forwarded and waits */
    call_fn *then;           /* after call_read */
    bool may_read;           /* its turn is that of `then` */
    struct listing *listing; /* read.c: a list that goes on in later turns */
    int64_t deadline_ms;     /* env now_ms: so long it may wait for a leader; 0 = it does not */
    unsigned tries;          /* parked.c: how often it failed of an election */
    bool maybe_done;         /* an attempt had an unknown outcome */
    size_t counted_bytes;    /* by call_count */
    struct value *warnings;  /* texts for the answer of a write; NULL if there are none. In the arena */
};
struct call *call_new(struct master *m, struct rpc_request *req, const struct pki_identity *who, struct str method,
                      struct mp params);
/* The bytes that the call holds while it waits go onto the account of its connection and of this master. False: too many, the call has been
 * failed. */
bool call_count(struct call *c);
/* Whose connection it came on; NULL if it was forwarded, or the connection is gone. Ask anew after anything asynchronous. */
struct session *call_session(const struct call *c);
/* Answer and free. An error that only means that nobody leads at the moment parks the call instead (parked.c): it will be handled anew. */
void call_reply(struct call *c, const struct buf *result);
void call_fail(struct call *c, const struct error *err);
void call_fail_now(struct call *c, const struct error *err); /* never parks */
void call_failf(struct call *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The request is taken over (stream accepted): frees the call, not the request. */
struct rpc_request *call_take_request(struct call *c);
/* What is not in the request itself, to make a call of it again after all (a stream that was not accepted). */
struct call_origin {
    struct master *m;
    struct pki_identity who;
    struct pki_facts facts;
    const struct method *row;
    int64_t deadline_ms;
    unsigned tries;
    bool forwarded;
};
void call_origin(const struct call *c, struct call_origin *out);
struct call *call_of_request(struct rpc_request *req, const struct call_origin *origin);
/* Handles it when it is its turn, anew if it was handled before. */
void call_take_turn(struct call *c);
/* Where its work waits: its connection's lane, or that of whom another master speaks for. NULL: nobody waits for the answer any more. */
struct lane *call_lane(struct call *c);
/* Linearizable unless params.stale: runs `then` when committed may be read, and it is its turn. */
void call_read(struct call *c, call_fn *then);
/* Parameters. Kind and namespace: namespace defaults to "default" for namespaced kinds (all = allow empty for all namespaces).
 * False: the call has been failed. */
bool call_kind(struct call *c, const struct kind **k, struct str *ns, bool all);
bool call_str(struct call *c, const char *key, struct str *out, bool required);
/* params.id (bin of 16) into the transaction; false: failed. */
bool call_txn_id(struct call *c, struct txn *t);
/* A transaction with this id was done before: the request must not be judged again (what it asks for may not be possible any more), an empty
 * transaction with the id is answered with the first result. */
bool call_repeats(const struct call *c, const struct txn *t);

/* Method and params as they lie now: they move when the request has been left waiting. */
void call_find_again(struct call *c);
/* How long the answer to something asked on its behalf may take: what is left of its own deadline, at most max_ms. */
int64_t call_left_ms(const struct call *c, int64_t max_ms);

/* ---- held.c: what connections hold of memory ---- */
void held_look(struct master *m); /* once in a turn; ends connections while it is too much */

/* ---- parked.c: requests that wait for a leader ---- */

/* It failed with `why`. True: it waits, or has been answered because too many do; the call is taken over. */
bool call_park(struct call *c, const struct error *why);
void parked_on_leader(struct master *m); /* one may be known now */
void parked_on_session_closed(struct session *s);
void parked_close(struct master *m);

/* ---- ask.c: what waits for the leader ---- */

/* A call to another master on behalf of c; done gets c as data, exactly once, also when another leader is known before the answer. */
void call_ask_leader(struct call *c, uint64_t leader, const char *method, struct str params, int64_t timeout_ms,
                     rpc_result_cb *done);
void calls_on_leader_known(struct master *m, uint64_t leader);

/* ---- methods.c ---- */
enum method_flags {
    METHOD_ANON = 1 << 0,        /* without certificate */
    METHOD_NODE = 1 << 1,        /* agents too */
    METHOD_WRITE = 1 << 2,       /* needs the leader: forwarded by the others */
    METHOD_STREAM = 1 << 3,      /* answered by a stream: relayed instead of forwarded */
    METHOD_LEADER = 1 << 4,      /* leader only, others answer NotLeader (agents follow the leader) */
    METHOD_LATE = 1 << 5,        /* with an expired certificate too */
    METHOD_AGAIN = 1 << 7,       /* may be done twice: an unknown outcome is no reason not to repeat it */
    METHOD_WRITES_NODE = 1 << 8, /* writes what nodes have room for (node_write.c) */
    METHOD_RELAY = 1 << 6,       /* of a node: any master that has a link to it serves it */
};
struct method {
    const char *name;
    call_fn *fn;
    unsigned flags;
    const char *params; /* known members, space separated */
};
void master_dispatch(struct master *m, const struct pki_identity *who, const struct pki_facts *facts,
                     struct rpc_request *req, struct str method, struct mp params, bool was_forwarded);
/* What the method does, here or at the leader: its turn has come. */
void master_handle(struct call *c);
/* Its certificate counts no more (revoked.h). True: the call has been failed. */
bool call_revoked(struct call *c);
/* Once more from the start, for what was parked. */
void master_handle_again(struct call *c);
void master_on_peer_request(void *data, uint64_t peer_id, struct rpc_request *req, struct str method, struct mp params);
/* NotLeader, with the leader's agent-facing address in the error's field. */
void call_not_leader(struct call *c);
/* A request of METHOD_RELAY that could not be served here: by the leader. */
void call_to_leader(struct call *c);

/* ---- read.c, watch.c ---- */
void method_get(struct call *c);
void method_list(struct call *c);
void list_go_on(struct call *c);  /* the next piece of a list */
void list_let_go(struct call *c); /* nobody waits for it any more */
void method_watch(struct call *c);
struct watch_table *watch_table_new(struct master *m);
void watch_table_free(struct watch_table *t);
void watch_table_advance(struct watch_table *t, bool restored); /* committed moved */
unsigned watch_table_count(const struct watch_table *t);
/* Watches for agents end: we lead no more. */
void watch_table_end_nodes(struct watch_table *t);
/* A watch with a fixed filter on the pods of a node (node.pods). */
void watch_node_pods(struct call *c, struct str node);
struct list_pages *list_pages_new(void);
void list_pages_free(struct list_pages *p);
void list_pages_expire(struct list_pages *p, int64_t now_ms); /* versions that nobody has read on for long are let go */

/* ---- write.c, apply.c, delete.c, admission.c ---- */
void method_create(struct call *c);
void method_update(struct call *c);
void method_patch(struct call *c);
void method_apply(struct call *c);
void method_delete(struct call *c);
void method_deletecollection(struct call *c);
void method_txn(struct call *c);
/* Who answers what at commit: takes over the call. `objects` (refs given) are those to report. */
enum write_shape { WRITE_OBJECT, WRITE_APPLY, WRITE_DELETE, WRITE_COUNT, WRITE_TXN };
struct write {
    struct call *call;
    enum write_shape shape;
    unsigned count, cap;
    struct write_item {
        struct object *object; /* may be NULL */
        struct object *before; /* the transaction */
        bool gone;             /* the transaction took it away; object: what it was last */
        const char *result;    /* "created", ... */
        const struct kind *kind;
        struct str ns, name;
    } * items;
    unsigned repeat_count; /* WRITE_COUNT: of the first time */
};
struct write *write_new(struct call *c, enum write_shape shape);
void write_add(struct write *w, const struct kind *k, struct str ns, struct str name, const char *result);
/* Submit, remember the tip's objects of the items, answer at commit. With params.dryRun: check, and answer what would be. */
void write_submit(struct write *w, struct txn *t);
void write_dry_run(struct write *w, const struct txn *t);
/* Gives w's answer (error NULL) or failure, and frees it. */
void write_answered(const struct txn_result *result, const struct error *error, void *w);
/* A refusal found on the tip; answered when what it saw is committed. Consumes. */
void write_refuse(struct write *w, const struct error *err);
void call_refuse(struct call *c, const struct error *err);
void call_refuse_not_found(struct call *c, const struct kind *k, struct str name);

#define WRITE_WARNINGS_MAX 64u /* of one request */
/* A document of a user on its way in as a new object: kind, namespace, system fields, defaults, checks, namespace's state. `fresh_ns`: namespaces made by the
 * same transaction (may be NULL). */
struct admission {
    struct arena *arena;
    const struct view *tip;
    const struct env *env;
    bool lenient;
    const struct txn *same_txn;
    const struct txn
        *names_from;  /* its id, if it has one, decides generated names, so that a repetition generates the same */
    bool repeats;     /* the transaction has been done before: a generated name is the one it got then */
    unsigned ordinal; /* of the document among those of the request */
    struct value *
        *warnings; /* a list that what is kept but not carried out is added to, made if needed; NULL: nobody asks */
    bool many;     /* objects in the request: warnings name theirs */
};
int admit_document_kind(const struct admission *ad, struct value *doc, const struct kind **k, struct str *ns,
                        struct str *name, struct error *err);
/* metadata.resourceVersion as a precondition: 0 if absent. ERR_INVALID if it is no decimal number in a string. */
int admit_version(struct value *doc, const struct kind *k, uint64_t *revision, struct error *err);
int admit_create(const struct admission *ad, const struct kind *k, struct value *doc, struct object **out,
                 struct error *err);
/* What is kept but not carried out in a document goes to ad->warnings; both functions here do it. */
void admit_warnings(const struct admission *ad, const struct kind *k, const struct value *doc);
/* doc becomes the new version of old; status is kept for kinds with a status part. */
int admit_update(const struct admission *ad, const struct kind *k, struct value *doc, const struct object *old,
                 enum txn_part part, struct object **out, struct error *err);
void kind_resource_name(const struct kind *k, char *out, size_t size); /* "deployments.apps" */

/* ---- nodes.c, events.c, feeds.c: what agents ask ---- */
/* params.name, which must be the caller's own (masters and admins may act for any, for repair and tests). False: failed. */
bool call_own_node(struct call *c, struct str *name);
/* Is there something left of the node's allowance for a call of this size? False: the call has been failed (restrict.h). */
bool node_may_write(struct call *c, struct str node);
void method_node_register(struct call *c);
void method_node_pods(struct call *c);
void method_node_refs(struct call *c);
void method_node_routes(struct call *c);
void method_node_status(struct call *c);
void method_node_events(struct call *c);
/* An event about an object of the tip: `reason`, Warning. Best effort: nobody waits for it. False: the same was told less than a minute ago. */
bool events_warn(struct master *m, const struct object *about, const char *reason, struct str message);
#define NODES_INSTANCE_MAX      80
#define NODES_HEARTBEAT_LOOK_MS 50 /* denser heartbeats of a connection are counted and not looked at */
void nodes_on_heartbeat(struct session *s, struct mp params);
void nodes_on_hello(struct call *c); /* of an agent: is this the link of its node? */
/* Leading: all agents are called to register here. Not leading: their orders end; their links stay. */
void nodes_on_leading(struct master *m, bool leading);
void nodes_on_session_closed(struct session *s);
void nodes_ask_heard(void *m); /* core_config.ask_heard */
void nodes_tell_heard(struct master *m, struct rpc_request *req);
bool nodes_taken(struct master *m, struct str name); /* leader only: a living agent has this name */
void node_feeds_end(struct master *m);               /* we lead no more */
/* feeds.c: note what a committed transaction concerns; send; look at everything again after a restored snapshot. */
void node_feeds_advance(struct master *m, const struct history_txn *txn);
void node_feeds_flush(struct master *m);
void node_feeds_restored(struct master *m);

/* ---- relay.c: logs, exec, port-forward, images ---- */
void method_relay_to_node(struct call *c);
void method_images(struct call *c);
/* On a follower: serves the call over our own link, if the node is known and linked. False: nothing was done. */
bool relay_here(struct call *c);
/* Two streams tied together: the one to be accepted on the call's request, and one opened on `to`, the session to the master `leader`. Takes the
 * call over; it fails (and may be parked) if `to` refuses, or another master leads before it has answered. */
void relay_start(struct call *c, uint64_t leader, struct rpc_session *to, const char *method, struct str params);
void relays_on_leader_known(struct master *m, uint64_t leader);

/* ---- backup.c ---- */
void method_backup(struct call *c);
void backups_expire(struct master *m, int64_t now_ms); /* those whose readers stand still */

/* ---- join.c ---- */
void method_join(struct call *c);
/* Wrong tokens of one network: a few are mistakes, many are guesses. Who has none left waits before a token is looked at, a right one too. */
#define JOIN_WRONG_BURST 10
#define JOIN_WRONG_US    6000000
/* Before a join of a connection to this master is looked at. False: its network guesses too much, the call has been failed. */
bool join_may_try(struct call *c);
/* Any call fails: if it showed a wrong token, its network is told so (allowance.h). */
void join_note_failure(struct call *c, const struct error *err);
void method_rejoin(struct call *c);
void method_master_remove(struct call *c);
void method_master_transfer(struct call *c);
/* For change.c: the certificate; the answer (id 0: a node's; replaced 0: nobody). */
int join_sign(struct master *m, enum pki_role role, const char *name, const char *csr, const char *sans,
              char **cert_pem, struct error *err);
void join_answer(struct call *c, const char *cert_pem, uint64_t id, uint64_t replaced);

/* ---- certs.c: others' certificates, and who has which ---- */
/* How often an identity may have its certificate renewed: signing costs milliseconds of the loop. Far more than a healthy agent or client needs, also with
 * certificates that live for seconds. */
#define CERTS_RENEW_BURST 10
#define CERTS_RENEW_US    10000000
void method_cert_renew(struct call *c);
void method_cert_status(struct call *c);
/* Array of texts: what expires soon or could not be renewed, as far as this master knows (nodes: the leader). */
void certs_write_warnings(struct master *m, struct buf *b);

/* ---- members.c ---- */
/* The member with this id or, unless it is NULL, this address. */
bool members_find(struct master *m, uint64_t id, const char *address, struct replica_member *out);
bool members_up(struct master *m, uint64_t id);          /* ourselves, or heard of lately */
unsigned members_voters(struct master *m, unsigned *up); /* how many there are; *up: that are up */
const char *members_role(int role);                      /* "voter", "standby", "spare" */
void method_hello(struct call *c);
void method_cluster(struct call *c);
void method_announce(struct call *c);
/* What is said of a state that is nearly full; false: it is not. */
bool members_state_warning(const struct replica_state *s, char *out, size_t size);
/* Namespaces and the cluster's own objects, at the start of a leadership. */
void members_bootstrap(struct master *m);
void members_announce(struct master *m);
/* A leader whose disk is nearly full gives the leadership to a voter that answers and has room; if there is none it stays. */
void members_leave_low_disk(struct master *m);
/* Into the transaction: addresses of masters that are no members any more go from the list. False: there are none. */
bool members_forget(struct master *m, struct txn *t);
/* Client- or agent-facing address of a master as announced; empty if unknown. Borrowed from committed. */
struct str members_address(struct master *m, uint64_t id, bool agent_facing);
/* "masters": [addresses of all members], into a map. */
void members_write_addresses(struct master *m, struct buf *b, bool agent_facing);

/* ---- removed.c ---- */

/* The record says that this id is no member's any more, and no configuration that we know has it. False while that is not known. */
bool members_removed(struct master *m, uint64_t id);
/* A removed master has connected: tell it, and hang up. */
void removed_farewell(struct master *m, struct net_conn *c, uint64_t id);
void removed_tell(struct master *m,
                  uint64_t id); /* over its session, if there is one; later it hears it when it connects */
/* We have been told: note it in the data directory and stop. For transport_config. */
void removed_on_told(void *data, uint64_t peer_id);
void removed_check(struct master *m); /* does our own state say it? */

#endif
