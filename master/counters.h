/* What a master counts. A counter of its own is one line here; who counts writes m->stats.FIELD++. */
#ifndef MASTER_COUNTERS_H
#define MASTER_COUNTERS_H

#include "base/counters.h"

/* X(FIELD of struct master_stats, NAME in answers, HELP) */
#define MASTER_COUNTERS(X)                                                                                             \
    X(requests, "requests", "calls that came in, from clients, nodes and other masters")                               \
    X(refused, "refused", "calls that were answered with an error")                                                    \
    X(forbidden, "forbidden", "calls that no role allowed")                                                            \
    X(forwarded, "forwarded", "calls that were handed to the leader")                                                  \
    X(watch_events, "watchEvents", "events that watches were sent")                                                    \
    X(heartbeats, "heartbeats", "heartbeats of nodes")                                                                 \
    X(joins, "joins", "machines that joined")                                                                          \
    X(certificates, "certificatesRenewed", "certificates that were signed anew")                                       \
    X(bad_params, "badParams", "calls with parameters that the method does not have")                                  \
    X(refused_bytes, "refusedBytes", "calls refused for the bytes that their connection held already")                 \
    X(backups, "backups", "backups that were made")                                                                    \
    X(parked, "waitedForLeader", "calls that waited until there was a leader")                                         \
    X(park_refused, "refusedWaiting", "calls for which there was no room to wait for a leader")                        \
    X(audited, "audited", "records of the audit that were written")                                                    \
    X(audit_dropped, "auditDropped", "records of the audit that could not be written")                                 \
    X(account_tokens, "accountTokens", "tokens of service accounts that were signed")                                  \
    X(secret_tokens_failed, "secretTokensFailed",                                                                      \
      "tokens of service accounts that could not be written into a Secret")                                            \
    X(wrong_bearers, "wrongBearerTokens", "requests over HTTP with a token that was not valid")                        \
    X(wrong_tokens, "wrongTokens", "tries to join with a token that was none")                                         \
    X(renewals_refused, "renewalsRefused", "renewals of certificates that came too often")                             \
    X(node_refused, "nodesOverRate", "writes of nodes beyond their rate")                                              \
    X(over_rate, "requestsOverRate", "calls beyond the rate of their identity")                                        \
    X(events_dropped, "droppedEvents", "events of nodes that were not kept")                                           \
    X(strangers_late, "strangersLate", "connections without a certificate that were closed for staying too long")      \
    X(rest_malformed, "restMalformed", "connections of HTTP closed for a request that is none")                        \
    X(rest_stuck, "restStuck", "connections of HTTP closed because they took nothing for too long")                    \
    X(gzipped, "answersGzipped", "answers of HTTP that were sent in gzip")                                             \
    X(late, "refusedLate", "calls whose time was over before their turn came")                                         \
    X(watches_refused, "refusedWatches", "watches for which there was no place")                                       \
    X(list_pieces, "listPieces", "turns of the loop that lists took")                                                  \
    X(visits_most, "pieceVisitsMost", "the most objects or transactions that a piece of a list or watch looked at")    \
    X(deletion_pieces, "deletionPieces", "turns of the loop that deletions of many objects took")                      \
    X(evictions_refused, "evictionsRefused", "evictions that would have broken a disruption budget")                   \
    X(revoked_calls, "revokedCallsRefused", "calls with a revoked certificate")                                        \
    X(leases_lost, "leasesLost", "times that this master ceased to serve agents, as it did not keep up")               \
    X(batches_sent, "batchesSent", "batches of reports that were sent to the leader")                                  \
    X(reports_sent, "reportsSent", "reports of nodes in them")                                                         \
    X(batches_taken, "batchesTaken", "batches of reports that came from other masters")                                \
    X(reports_taken, "reportsTaken", "reports of nodes in them")                                                       \
    X(usage_reports, "usageReports", "reports of nodes on what is used")                                               \
    X(revoked_sessions, "revokedSessionsClosed", "connections closed because their certificate was revoked")

struct master_stats {
    MASTER_COUNTERS(COUNTER_FIELD)
};

struct master;
struct replica_stats;
/* Every row, the parts' as well: what `cluster status -o yaml` shows. out must be empty. Loop thread only. */
void master_counters(struct master *m, const struct replica_stats *s, struct counters *out);

#endif
