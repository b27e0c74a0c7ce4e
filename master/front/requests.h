/* The requests that a master answers over msgpack-RPC. A request is a row, `const struct method request_NAME`, in the
 * file of the function that answers it, and a line in the list here. */
#ifndef MASTER_FRONT_REQUESTS_H
#define MASTER_FRONT_REQUESTS_H

struct call;
typedef void call_fn(struct call *c);
enum method_flags {
    METHOD_ANON = 1 << 0,        /* without certificate */
    METHOD_NODE = 1 << 1,        /* agents too */
    METHOD_WRITE = 1 << 2,       /* needs the leader: forwarded by the others */
    METHOD_STREAM = 1 << 3,      /* answered by a stream: relayed instead of forwarded */
    METHOD_LEADER = 1 << 4,      /* leader only, others answer NotLeader (agents follow the leader) */
    METHOD_LATE = 1 << 5,        /* with an expired certificate too */
    METHOD_AGAIN = 1 << 7,       /* may be done twice: an unknown outcome is no reason not to repeat it */
    METHOD_ANY_KIND = 1 << 9,    /* also objects of kinds that this program does not know */
    METHOD_WRITES_NODE = 1 << 8, /* writes what nodes have room for (node_write.c) */
    METHOD_STALE = 1 << 10,      /* by any master, if `stale` says so */
    METHOD_RELAY = 1 << 6,       /* of a node: any master that has a link to it serves it */
};
struct method {
    const char *name;
    call_fn *fn;
    unsigned flags;
    const char *params; /* known members, space separated */
};

#define METHODS(X)                                                                                                     \
    X(hello)                                                                                                           \
    X(join)                                                                                                            \
    X(rejoin)                                                                                                          \
    X(get)                                                                                                             \
    X(list)                                                                                                            \
    X(watch)                                                                                                           \
    X(create)                                                                                                          \
    X(update)                                                                                                          \
    X(patch)                                                                                                           \
    X(apply)                                                                                                           \
    X(delete)                                                                                                          \
    X(deletecollection)                                                                                                \
    X(txn)                                                                                                             \
    X(logs)                                                                                                            \
    X(exec)                                                                                                            \
    X(attach)                                                                                                          \
    X(portforward)                                                                                                     \
    X(imageload)                                                                                                       \
    X(images)                                                                                                          \
    X(cluster)                                                                                                         \
    X(whoami)                                                                                                          \
    X(cert_renew)                                                                                                      \
    X(cert_status)                                                                                                     \
    X(cert_admin)                                                                                                      \
    X(cert_reseal)                                                                                                     \
    X(cert_resealing)                                                                                                  \
    X(cert_revoke)                                                                                                     \
    X(cert_revoked)                                                                                                    \
    X(cert_rotate)                                                                                                     \
    X(cert_rotation)                                                                                                   \
    X(token)                                                                                                           \
    X(master_remove)                                                                                                   \
    X(master_transfer)                                                                                                 \
    X(backup)                                                                                                          \
    X(node_register)                                                                                                   \
    X(node_pods)                                                                                                       \
    X(node_refs)                                                                                                       \
    X(node_routes)                                                                                                     \
    X(node_services)                                                                                                   \
    X(node_status)                                                                                                     \
    X(node_events)

#define X(name) extern const struct method request_##name;
METHODS(X)
#undef X

#endif
