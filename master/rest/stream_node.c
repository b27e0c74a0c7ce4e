/* The agent's end of a stream: it may outlive who asked for it, until both sides of it are over. */
#include <assert.h>
#include <stdlib.h>

#include "master/api/write.h"
#include "master/front/relay.h"
#include "master/rest/stream.h"

struct stream_node {
    struct rpc_stream *stream;
    const struct stream_node_events *events; /* NULL: nobody listens any more */
    void *data;
    bool ended; /* our side */
};

static void on_open(struct rpc_stream *st, struct mp result, void *data)
{
    (void)st;
    (void)result;
    struct stream_node *n = data;
    if (n->events != NULL) {
        n->events->open(n->data);
    }
}

static void on_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    struct stream_node *n = data;
    if (n->events != NULL) {
        n->events->data(payload, payload_bytes, n->data);
    } else {
        rpc_stream_consumed(st, payload_bytes);
    }
}

static void on_writable(struct rpc_stream *st, void *data)
{
    (void)st;
    struct stream_node *n = data;
    if (n->events != NULL) {
        n->events->writable(n->data);
    }
}

static void end_ours(struct stream_node *n)
{
    if (!n->ended) {
        n->ended = true;
        rpc_stream_end(n->stream, NULL);
    }
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)st;
    struct stream_node *n = data;
    const struct stream_node_events *events = n->events;
    n->events = NULL;
    if (events != NULL) {
        events->end(err, n->data);
    }
    end_ours(n);
    free(n);
}

static const struct rpc_stream_events node_events = {
    .on_open = on_open, .on_data = on_data, .on_writable = on_writable, .on_end = on_end};

struct stream_node *stream_node_open(struct rpc_session *to, bool relayed, const char *method, struct str params,
                                     const struct stream_node_events *events, void *data)
{
    struct stream_node *n = xcalloc(1, sizeof *n);
    n->events = events;
    n->data = data;
    n->stream = rpc_stream_open(to, relayed ? "forward" : method, params, &node_events, n);
    assert(n->stream != NULL);
    return n;
}

int stream_node_write(struct stream_node *n, struct str payload)
{
    return n->ended ? ERR_CLOSED : rpc_stream_write(n->stream, payload);
}

void stream_node_took(struct stream_node *n, size_t bytes)
{
    if (bytes > 0 && !n->ended) {
        rpc_stream_consumed(n->stream, bytes);
    }
}

void stream_node_leave(struct stream_node *n)
{
    n->events = NULL;
    end_ours(n);
}

void stream_node_refusal(bool relayed, const struct error *err, struct error *out)
{
    *out = (struct error){0};
    if (err == NULL) {
        error_set(out, ERR_CLOSED, "the node ended the stream before it began");
    } else if (relayed && err->code == ERR_CLOSED) {
        error_set(out, ERR_UNKNOWN_OUTCOME,
                  "the leader went away while a stream was opened over it: it may have begun");
    } else {
        *out = *err;
    }
}

struct rpc_session *stream_node_link(struct master *m, struct str ns, struct str name, struct error *err)
{
    const struct kind *k = kind_by_id(KIND_POD);
    struct error none = {0};
    const struct object *pod = view_get(store_committed(replica_store(m->replica)), k, ns, name);
    struct str node = pod == NULL ? STR_NONE : mp_str(mp_get(object_spec(pod), "nodeName"));
    struct rpc_session *link = node.n == 0 ? NULL : relay_link_to(m, node);
    err = err == NULL ? &none : err;
    if (pod == NULL) {
        error_not_found(err, k, name);
    } else if (node.n == 0) {
        error_set(err, ERR_USAGE, "pod %.*s does not have a host assigned: it is not on a node yet", STR_ARG(name));
    } else if (link == NULL) {
        error_set(err, ERR_BUSY, "node \"%.*s\" is not connected to the leader at present; try again when it is Ready",
                  STR_ARG(node));
    }
    return link;
}

/* Source: Kubernetes' validateContainer (pkg/registry/core/pod). */
int stream_check_container(struct master *m, struct str ns, struct str name, struct str container, struct error *err)
{
    static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
    const struct view *v = store_committed(replica_store(m->replica));
    const struct object *pod = view_get(v, kind_by_id(KIND_POD), ns, name);
    CLEANUP_BUF struct buf names = BUF_INIT;
    if (pod == NULL || (container.n == 0 && mp_count(mp_get(object_spec(pod), "containers")) == 1)) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), lists[i])); mp_next(&it);) {
            struct str one = mp_str(mp_get(it.value, "name"));
            if (container.n > 0 && str_eq(one, container)) {
                return 0;
            }
            buf_printf(&names, "%s%.*s", names.size > 0 ? " " : "", STR_ARG(one));
        }
    }
    return container.n > 0
               ? error_set(err, ERR_USAGE, "container %.*s is not valid for pod %.*s",
                           (int)MIN(container.n, (size_t)NAME_KEY_MAX), container.p, STR_ARG(name))
               : error_set(err, ERR_USAGE, "a container name must be specified for pod %.*s, choose one of: [%s]",
                           STR_ARG(name), buf_cstr(&names));
}
