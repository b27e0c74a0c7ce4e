/* The documents of OpenAPI: v2 as JSON and in the protobuf form that kubectl 1.20 asks for, v3 with an index. They are
 * of the cluster's feature level, and made anew when that has risen. */
#include "proto/openapi/openapi.h"

#include <string.h>

#include "master/rest/call.h"
#include "master/rest/parts.h"

/* What is asked with a body of its own: beside the kinds (rest_extras), or of an object (rest_parts). */
static bool serves(const struct kind *request)
{
    const char *part = strchr(request->plural, '/');
    if (request->plural[0] == '\0') {
        return true; /* it comes along with others */
    }
    for (unsigned i = 0; part != NULL && i < rest_parts_count; i++) {
        if (strcmp(part + 1, rest_parts[i].name) == 0) {
            return true;
        }
    }
    for (unsigned i = 0; i < rest_extras_count; i++) {
        if (strcmp(request->plural, rest_extras[i].plural) == 0) {
            return true;
        }
    }
    return false;
}

static struct openapi *documents(struct master *m)
{
    unsigned level = store_level(replica_store(m->replica));
    if (m->openapi != NULL && m->openapi_level != level) {
        openapi_free(m->openapi);
        m->openapi = NULL;
    }
    if (m->openapi == NULL) {
        m->openapi = openapi_new(level, "v1.33.0", serves);
        m->openapi_level = level;
    }
    return m->openapi;
}

/* Does Accept name the protobuf form before anything that JSON is? With '@' in its version, as clients write it. */
static bool wants_protobuf(struct str accept)
{
    struct http_media m;
    while (http_media_next(&accept, &m)) {
        if (str_starts(m.type, STR("application/com.github.proto-openapi.spec.v2"))) {
            return m.q > 0;
        }
        if (str_is(m.type, "application/json") || str_is(m.type, "*/*")) {
            return false;
        }
    }
    return false;
}

static void tell(struct rest_call *c, const char *type, const struct openapi_document *d)
{
    rest_answer_kept(c, type, (struct str){d->bytes, d->size}, d->hash);
}

void rest_tell_openapi(struct rest_call *c)
{
    struct openapi *o = documents(c->e.api.m);
    if (c->path.place == REST_OPENAPI_2) {
        bool protobuf = wants_protobuf(c->accept);
        tell(c, protobuf ? OPENAPI_V2_PROTOBUF_TYPE : NULL, protobuf ? openapi_v2_protobuf(o) : openapi_v2_json(o));
        return;
    }
    const struct openapi_document *d = c->path.name.n == 0 ? openapi_v3_index(o) : openapi_v3(o, c->path.name);
    if (d == NULL) {
        rest_answer_failure(c, 404, "there is no document \"%.*s\"; /openapi/v3 lists them", STR_ARG(c->path.name));
    } else {
        tell(c, NULL, d);
    }
}
