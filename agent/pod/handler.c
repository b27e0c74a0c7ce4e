#include "agent/pod/handler.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/pod/refs.h"
#include "proto/schema/kind.h"

static const char *path_of(const struct agent *a, struct str handler)
{
    for (unsigned i = 0; i < a->handlers_count; i++) {
        if (str_is(handler, a->handlers[i].name)) {
            return a->handlers[i].path;
        }
    }
    return NULL;
}

static int check(const struct agent *a, struct str handler, struct error *err)
{
    const char *path = path_of(a, handler);
    if (path == NULL) {
        return error_set(err, ERR_UNSUPPORTED, "no runtime for \"%.*s\" is configured (reeve-agent --runtime-handler)",
                         STR_ARG(handler));
    }
    if (!a->hollow && access(path, X_OK) != 0) {
        return error_set(err, ERR_UNSUPPORTED, "the runtime for \"%.*s\" cannot be run: %s: %s", STR_ARG(handler), path,
                         strerror(errno));
    }
    return 0;
}

static void keep(struct agent_pod *ap, struct str handler)
{
    snprintf(ap->handler, sizeof ap->handler, "%.*s", STR_ARG(handler));
    ap->handler_known = true;
}

int handler_find(struct agent_pod *ap, struct error *err)
{
    struct agent *a = ap->agent;
    const char *name = ap->pod->spec->runtime_class;
    if (name[0] == '\0') {
        keep(ap, STR_NONE);
        return 0;
    }
    const struct object *class = refs_get(a->refs, KIND_RUNTIMECLASS, STR_NONE, str_of(name));
    if (class == NULL) {
        return refs_synced(a->refs) ? error_set(err, ERR_NOT_FOUND, "RuntimeClass \"%s\" not found", name)
                                    : error_set(err, ERR_BUSY, "RuntimeClass \"%s\" is not known yet", name);
    }
    struct str handler = mp_str(mp_get(object_mp(class), "handler"));
    if (str_is(handler, HANDLER_CRUN)) {
        keep(ap, STR_NONE);
        return 0;
    }
    int rv = check(a, handler, err);
    if (rv == 0) {
        keep(ap, handler);
    }
    return rv;
}

static bool take_from_container(struct agent_pod *ap)
{
    struct runtime_status st;
    for (unsigned cursor = 0; runtime_next(ap->agent->runtime, &cursor, &st);) {
        if (st.handler != NULL && strcmp(st.pod_uid, ap->uid) == 0) {
            keep(ap, str_of(st.handler));
            return true;
        }
    }
    return false;
}

int handler_of_pod(struct agent_pod *ap, char name[HANDLER_SIZE], struct error *err)
{
    int rv = ap->handler_known || take_from_container(ap) ? 0 : handler_find(ap, err);
    snprintf(name, HANDLER_SIZE, "%s", ap->handler);
    return rv;
}

int handler_parse(struct arena *a, const char *text, struct runtime_handler *h, struct error *err)
{
    const char *equals = strchr(text, '=');
    size_t n = equals == NULL ? 0 : (size_t)(equals - text);
    struct str name = {text, n};
    if (!name_is_dns_label(name) || equals[1] != '/') {
        return error_set(err, ERR_USAGE,
                         "NAME=PATH is needed, NAME of lower case letters, digits and '-', PATH from / "
                         "on, not %s",
                         text);
    }
    if (str_is(name, HANDLER_CRUN)) {
        return error_set(err, ERR_USAGE, HANDLER_CRUN " is the runtime that every node has; another name is needed");
    }
    *h = (struct runtime_handler){arena_strndup(a, text, n), arena_strdup(a, equals + 1)};
    return 0;
}
