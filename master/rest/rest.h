/* The Kubernetes API over HTTPS: a second front over the typed requests of master/api, beside msgpack-RPC's.
 *
 *   conn.c      a connection: bytes in, one request at a time, bytes out
 *   call.c      a request from its head to its answer; what its errand (front/errand.h) asks of this front
 *   path.c, options.c, form.c, status.c     what paths, queries, Accept and errors mean: pure
 *   kept.c      JSON of objects that was made lately
 *   request.c   the typed request that a call is; answers.c how verbs answer it; watch.c streams of events
 *   discovery.c, health.c                   what there is, and how it is
 *   log.c       a container's log, from its agent
 *   proxy.c     what is handed on to pods and services, and what nodes are asked
 *   stream.c    exec, attach and port-forward: what connections become (stream.h)
 *
 * What is served, and what is not, stands in docs/api.md. Loop thread only. */
#ifndef MASTER_REST_REST_H
#define MASTER_REST_REST_H

struct master;
struct session;
struct net_conn;
struct buf;

/* The session's connection speaks HTTP: takes it over, until it closes (session_over). */
void rest_open(struct session *s, struct net_conn *c);
/* What /metrics answers, appended. */
void rest_write_metrics(struct master *m, struct buf *out);
/* Once in a turn of the loop: ends streams that are over. */
void rest_turn(struct master *m);
/* A few times a second: what waits for too long, watches whose time is over, bookmarks. */
void rest_tick(struct master *m);

#endif
