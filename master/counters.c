/* All that a master counts, as rows: its own from their list, and what its parts have counted. */
#include "master/counters.h"

#include "master/api/watch.h"
#include "master/auth/revoked.h"
#include "master/core.h"
#include "master/front/turns.h"
#include "master/master.h"
#include "master/nodes/feeds.h"
#include "master/rest/kept.h"
#include "raft-store/raft/transport.h"

/* What nodes that told this leader answer names from (coredns#3860: old answers that nobody notices). */
static void add_names(struct master *m, struct counters *out)
{
    struct names_found f =
        names_look(&m->names, core_usage(m->core), node_feeds_services_changes(m), env_now_ms(m->env));
    counters_add_level(out, "namesNodes", "nodes that have told this leader from which state they answer names",
                       f.nodes);
    counters_add_level(out, "namesRevisionLowest", "the lowest revision of such a state", f.lowest);
    counters_add_level(
        out, "namesBehindMs",
        "milliseconds for which one of these nodes has lacked a change of Services or endpoints, at most",
        (uint64_t)f.behind_ms);
}

void master_counters(struct master *m, const struct replica_stats *s, struct counters *out)
{
    struct controllers_stats cs;
    struct scheduler_stats ss;
    core_stats(m->core, &cs, &ss);
    struct turns_stats ts;
    turns_stats(m->turns, &ts);
    struct net_stats net = {0};
    for (unsigned i = 0; i < m->listeners_count; i++) {
        const struct net_stats *l = net_listener_stats(m->listeners[i]);
        net.accepted += l->accepted;
        net.handshake_failed += l->handshake_failed;
        net.open += l->open;
    }
    const struct net_gate_stats *gate = net_gate_stats(m->gate);
    uint64_t gate_refused = 0;
    for (int i = 0; i < NET_CLASSES; i++) {
        gate_refused += gate->refused[i];
    }
#define COUNTER_ADD(field, name, help) counters_add(out, name, help, m->stats.field);
    MASTER_COUNTERS(COUNTER_ADD)
#undef COUNTER_ADD
    counters_add(out, "entries", "entries of the log that were written", s->entries);
    counters_add(out, "transactions", "transactions that were written", s->transactions);
    counters_add(out, "logBytes", "bytes of them", s->bytes);
    counters_add(out, "snapshots", "snapshots taken", s->snapshots);
    counters_add_level(out, "snapshotMs", "milliseconds that writing the newest snapshot took",
                       (uint64_t)s->snapshot_ms);
    counters_add(out, "restores", "snapshots taken over from another master", s->restores);
    counters_add(out, "reads", "linearizable reads", s->reads);
    counters_add(out, "readRounds", "questions to the other masters for them", s->read_rounds);
    counters_add(out, "unknownOutcomes", "writes whose outcome was unknown when the leadership was lost", s->unknown);
    counters_add_level(out, "waitingForLeader", "calls that wait for a leader", m->parked_count);
    counters_add(out, "badMessages", "messages of the RPC protocol that were malformed", m->rpc_stats.bad_messages);
    counters_add(out, "badRaftMessages", "messages of other masters that were malformed or absurd",
                 transport_stats(m->transport)->bad + s->absurd);
    counters_add(out, "refusedInflight", "calls refused because too many of the connection were in flight",
                 m->rpc_stats.refused_limit);
    counters_add(out, "refusedTooLarge", "messages refused for their size", m->rpc_stats.too_large);
    counters_add_level(out, "heldBytes", "bytes that connections hold", m->held.bytes);
    counters_add_level(out, "heldBytesMost", "the most that they ever held", m->held.most);
    counters_add(out, "connectionsShed", "connections ended because what they held was too much", m->held.shed);
    counters_add_level(out, "requestsWaiting", "calls that wait for their turn", ts.waiting);
    counters_add(out, "requestsWaited", "calls that waited for their turn", ts.waited);
    counters_add_level(out, "requestsWaitingMost", "the most that ever waited of one identity", ts.waiting_most);
    counters_add_level(out, "longestPieceUs", "microseconds of the longest piece of work of a call", ts.longest_us);
    counters_add(out, "refusedShare", "calls refused because their identity had too many waiting", ts.refused);
    counters_add(out, "writesHeld", "writes that waited for room in the log", ts.held);
#define X(name, field, most, word)                                                                                     \
    counters_add_level(out, #field "Begun", word " that have begun and have no answer yet", ts.begun[TURN_##name]);    \
    counters_add(out, #field "Queued", word " that waited because many of their identity had begun",                   \
                 ts.queued[TURN_##name]);
    TURN_SORTS_LIST(X)
#undef X
    counters_add(out, "turnsServed", "times that an identity's turn to be worked for came", ts.served);
    counters_add_level(out, "subjects", "identities that are connected", ts.subjects);
    counters_add(out, "refusedState", "writes refused because the state is at its bound", s->state_refused);
    const struct store *store = replica_store(m->replica);
    counters_add_level(out, "eventsBytes", "bytes of all events", view_events_bytes(store_committed(store)));
    counters_add(out, "eventsFallenOff", "events dropped because there were too many of their namespace, or in all",
                 store_events_dropped(store));
    struct sum nodes = view_sum(store_committed(store), VIEW_SUM_NODES_ALL, STR_NONE, NULL);
    counters_add_level(out, "nodesNotReady", "nodes that are not ready",
                       (uint64_t)(nodes.count - nodes.fields[NODES_READY]));
    counters_add_level(out, "nodesEvicted",
                       "of them, those that are given up: their pods go when they tolerate it no longer",
                       (uint64_t)nodes.fields[NODES_EVICTED]);
    counters_add_level(out, "nodesHeld", "of them, those that are not given up yet, as others of their zone are lost",
                       (uint64_t)nodes.fields[NODES_WAITING]);
    struct pack_stats packs;
    store_pack_stats(store, &packs);
    counters_add(out, "packed", "objects of which what differs from another one is kept", packs.packed);
    counters_add(out, "packedAgain", "of these, again, since they had been read", packs.repacked);
    counters_add(out, "packBases", "objects that were kept whole for others to differ from", packs.bases);
    counters_add_level(out, "connections", "connections that are open", net.open);
    counters_add(out, "connectionsAccepted", "connections that were taken", net.accepted);
    counters_add(out, "connectionsRefused", "connections for which there was no place", gate_refused);
    counters_add(out, "connectionsWithoutDescriptor", "connections for which there was no descriptor",
                 gate->no_descriptor);
    counters_add(out, "handshakesCut", "handshakes ended to make room for others", gate->cut);
    counters_add(out, "handshakesFailed", "handshakes that failed", net.handshake_failed);
    if (m->handshakes != NULL) {
        const struct net_worker_stats *steps = net_worker_stats(m->handshakes);
        counters_add(out, "handshakeSteps", "steps of handshakes, of which each has two", steps->steps);
        counters_add(out, "handshakeStepsCrowded", "of them those of networks that had had their share",
                     steps->crowded);
        counters_add_level(out, "handshakesWaiting", "handshakes that wait for the thread that does them",
                           steps->waiting);
        counters_add_level(out, "handshakesWaitingMost", "the most that ever waited", steps->waiting_most);
    }
    struct rest_kept_stats kept;
    rest_kept_stats(m->kept, &kept);
    counters_add_level(out, "jsonKeptBytes", "bytes of JSON of objects that are kept", kept.bytes);
    counters_add(out, "jsonFound", "objects of answers over HTTP whose JSON, or row of a table, was kept", kept.found);
    counters_add(out, "jsonMade", "objects of answers over HTTP whose JSON, or row of a table, was made", kept.made);
    counters_add_level(out, "revoked", "certificates that are revoked", revoked_count(m));
    counters_add_level(out, "agentsServed", "nodes that this master tells their orders", node_feeds_nodes(m));
    add_names(m, out);
    counters_add_level(out, "watches", "watches that are open", watch_table_count(m->watches));
    counters_add(out, "reconciles", "looks of controllers at an object", cs.reconciles);
    counters_add(out, "reconcileErrors", "of them, those that failed", cs.errors);
    counters_add(out, "reconcileKeysRefused", "keys of controllers longer than any name", cs.keys_refused);
    counters_add(out, "reconcileViolations", "decisions given up as an assumption did not hold",
                 cs.violations + ss.violations);
    counters_add(out, "decidersWaited", "times that controllers and scheduler waited for room in the log",
                 core_waits(m->core));
    counters_add_level(out, "turnLongestUs", "microseconds of the longest turn of the loop lately",
                       (uint64_t)laps_longest_us(&m->laps, master_clock_us()));
    counters_add_level(out, "turnLongestEverUs", "the same since the start", (uint64_t)m->laps.turn.ever_us);
#define COUNT_LAP(part, counter, what)                                                                                 \
    counters_add_level(out, counter, "of it, at most: " what,                                                          \
                       (uint64_t)laps_longest_part_us(&m->laps, LAP_##part, master_clock_us()));
    LAPS(COUNT_LAP)
    counters_add(out, "podsBound", "pods that the scheduler has given a node", ss.bound);
    counters_add(out, "preemptions", "pods for which others of lower priority were deleted", ss.preemptions);
    counters_add(out, "preemptionVictims", "pods that were deleted for others of higher priority", ss.victims);
    counters_add(out, "retriesFound", "kinds of pods that waited although there was room: a wake-up was lost",
                 ss.retry_found);
    counters_add(out, "gangsBound", "gangs that have got their nodes, each in one transaction", ss.gangs_bound);
    counters_add(out, "gangAttempts", "times that it was tried whether a gang fits", ss.gang_attempts);
    counters_add(out, "gangPreemptions", "gangs for which others of lower priority were deleted", ss.gang_preemptions);
    counters_add_level(out, "gangsWaiting", "gangs whose members exist, and that do not fit at the moment",
                       ss.gangs_waiting);
    counters_add_level(out, "podsGanged", "pods that wait for the rest of their gang, or for its room", ss.ganged);
    counters_add_level(out, "podsParked", "pods that fit nowhere at the moment", ss.parked);
}
