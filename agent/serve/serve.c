/* Calls from masters, relayed from clients. Shapes: proto/rpc/api.h. Here: the table of
 * methods; each has a file of its own.
 *
 * Every stream has a struct of its own with two ends: the rpc stream, and what it is tied to (log reader, exec, socket,
 * image load). Flow is by credit both ways: what the peer cannot take pauses the source; what the target has not taken
 * yet is not acknowledged. An end is freed only when both are over. */
#include "agent/serve/serve.h"

void serve_request(struct rpc_request *r, struct str method, struct mp params, void *data)
{
    static const struct {
        const char *name;
        void (*serve)(struct agent *a, struct rpc_request *r, struct mp params);
    } methods[] = {
        {"pod.logs", serve_logs},         {"pod.exec", serve_exec},
        {"pod.attach", serve_attach},     {"pod.portforward", serve_portforward},
        {"image.load", serve_image_load}, {"image.list", serve_image_list},
        {"image.pull", serve_image_pull}, {"image.remove", serve_image_remove},
    };
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (str_is(method, methods[i].name)) {
            methods[i].serve(data, r, params);
            return;
        }
    }
    struct error err = {0};
    error_set(&err, ERR_UNSUPPORTED, "agents have no method %.*s", STR_ARG(method));
    rpc_reply_error(r, &err);
}
