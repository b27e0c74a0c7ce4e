/* Which NetworkPolicies each node enforces for its own pods, and who the peers in them are: what agents follow with
 * node.policies.
 *
 * An agent receives messages, each {"revision", "whole", "policies", "gone", "classes", "dropped", "complete"}:
 *   whole     true: what it knew counts no more; this is the first of all there is
 *   policies  a list of objects as the API has them: those that select a pod of the node
 *   gone      a list of {"namespace", "name"}: of policies that do not any more
 *   classes   what has changed in the classes that its policies name (proto/facts/netpol.h): a list of {"key", "whole",
 *             "members": [[address, [[name, protocol, port]...]]...], "gone": [address...], "short"}. The ports are
 *             those that have names, if there are any. short: true, only then: some pods are left out
 *   dropped   a list of keys: of classes that none of its policies names any more
 *   complete  it has been told everything that was committed up to "revision"; until then nothing of it counts
 * Each pod that is bound to the node is followed by a message, at least an empty one: so an agent knows whether it has
 * heard all policies that were there when the pod came.
 *
 * Members of a class are kept by the class and shared by all policies and nodes: a pod that comes, goes, or gets its
 * address touches the classes that it is in, and the nodes that follow them; nobody walks over policies and pods.
 * Labels are compared with the selectors of the pod's namespace, and with those that name namespaces by labels. While
 * there is no policy nothing is kept.
 *
 * All classes together have POLICING_MEMBERS_MAX pods at most, each as often as it is in one, some 280 bytes each time.
 * Beyond that a pod is left out of classes that only name peers: what a rule allows is not allowed to it. Whom policies
 * select is always known, so nobody is less isolated for it. Pods that were left out come back as room is there again,
 * one class with each change of anything here. Loop thread only. */
#ifndef MASTER_NODES_POLICING_H
#define MASTER_NODES_POLICING_H

#include "base/str.h"
#include "raft-store/store/view.h"

#define POLICING_GONE_MAX      1024u /* of one class: who was last told before that is told all of it again */
#define POLICING_MEMBERS_MAX   524288u
#define POLICING_MESSAGE_BYTES (256u << 10) /* and one object, or one class's members of 4,096 */

struct policing;
/* view: the committed state, whenever it is asked for. */
struct policing *policing_new(const struct view *(*view)(void *data), void *data);
void policing_free(struct policing *p); /* nobody follows */
/* Instead of POLICING_MEMBERS_MAX, for tests: before the first policy, or more than it was. */
void policing_set_room(struct policing *p, size_t members);
bool policing_is_of(const struct object *o); /* of a kind that matters here */
void policing_sync(struct policing *p);      /* the state is another one */
/* An object of such a kind has changed; old and new may be NULL. The committed state may be newer. */
void policing_change(struct policing *p, const struct object *old, const struct object *new);

struct policing_place;
/* behind: there is something to tell; from inside of the functions above. */
struct policing_place *policing_follow(struct policing *p, struct str node, void (*behind)(void *data), void *data);
void policing_unfollow(struct policing_place *f);
bool policing_is_behind(const struct policing_place *f);
/* The next message, for who is behind; the same until policing_sent. Borrowed. */
struct str policing_message(struct policing_place *f, uint64_t revision);
void policing_sent(struct policing_place *f);

struct policing_stats {
    size_t policies, classes, pods, places;
    size_t members, left_out; /* pods in classes, and not in them for want of room, as often as they would be */
    unsigned long matches;    /* labels that were compared with a selector */
};
void policing_get_stats(const struct policing *p, struct policing_stats *out);

#endif
