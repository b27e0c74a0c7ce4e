/* The requests that a master answers over msgpack-RPC. A request is a row, `const struct method request_NAME`, and a
 * line in the list here.
 *
 * Typed (master/api/api.h), so that every front has them: get to metrics, cluster, whoami, access, rules, cert.status,
 * token, account.token, token.review; their rows stand in verbs.c. The others read parameters in their own functions,
 * each row beside its function:
 *  - hello, join, rejoin, cert.renew, cert.admin and node.*: agents', masters' and newcomers' own protocol
 *  - the other cert.* and master.*, admission, metrics.text: what rctl alone asks for
 *  - logs, exec, attach, portforward, imageload, imagepull, images, imageremove, backup: streams of this protocol, tied
 *    to those of agents (relay.h); another front has to bring the client's end of a stream */
#ifndef MASTER_FRONT_REQUESTS_H
#define MASTER_FRONT_REQUESTS_H

/* Of every request: how long whoever asks will wait for the answer. So long it may wait for a leader. */
#define TIMEOUT_PARAM "timeoutMs"
/* And as whom it is asked (auth/impersonate.h). */
#define AS_PARAM "as"

struct call;
typedef void call_fn(struct call *c);
struct method {
    const char *name;
    call_fn *fn;
    unsigned flags;     /* method_flags (errand.h) */
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
    X(evict)                                                                                                           \
    X(bind)                                                                                                            \
    X(txn)                                                                                                             \
    X(metrics)                                                                                                         \
    X(metrics_text)                                                                                                    \
    X(logs)                                                                                                            \
    X(exec)                                                                                                            \
    X(attach)                                                                                                          \
    X(portforward)                                                                                                     \
    X(imageload)                                                                                                       \
    X(imagepull)                                                                                                       \
    X(images)                                                                                                          \
    X(imageremove)                                                                                                     \
    X(cluster)                                                                                                         \
    X(admission)                                                                                                       \
    X(whoami)                                                                                                          \
    X(access)                                                                                                          \
    X(rules)                                                                                                           \
    X(user)                                                                                                            \
    X(user_token)                                                                                                      \
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
    X(account_token)                                                                                                   \
    X(account_rotate)                                                                                                  \
    X(token_review)                                                                                                    \
    X(master_remove)                                                                                                   \
    X(master_transfer)                                                                                                 \
    X(backup)                                                                                                          \
    X(node_register)                                                                                                   \
    X(node_pods)                                                                                                       \
    X(node_refs)                                                                                                       \
    X(node_routes)                                                                                                     \
    X(node_services)                                                                                                   \
    X(node_policies)                                                                                                   \
    X(node_status)                                                                                                     \
    X(node_events)                                                                                                     \
    X(node_volumes)                                                                                                    \
    X(node_usage)

#define X(name) extern const struct method request_##name;
METHODS(X)
#undef X

#endif
