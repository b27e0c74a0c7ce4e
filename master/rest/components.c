/* ComponentStatus (v1), which Kubernetes has deprecated and `kubectl get cs` still asks for: read-only, list and get, in
 * no state. A master is all of scheduler, controllers and store, so the three are as well as the cluster is, as this
 * master sees it: while it knows a leader. Source: Kubernetes core/v1 ComponentStatus. */
#include "master/rest/call.h"
#include "master/rest/parts.h"

#define DEPRECATED "v1 ComponentStatus is deprecated in v1.19+"

static const char *const names[] = {"scheduler", "controller-manager", "etcd-0"};

/* NULL: it is. */
static const char *why_unwell(const struct master *m)
{
    const char *address;
    bool known = replica_leading(m->replica) || replica_leader(m->replica, &address) != 0;
    return known ? NULL : "this master knows no leader";
}

static void put_one(struct buf *out, const char *name, const char *why, bool typed)
{
    buf_puts(out, typed ? "{\"kind\":\"ComponentStatus\",\"apiVersion\":\"v1\"," : "{");
    buf_printf(out, "\"metadata\":{\"name\":\"%s\"},\"conditions\":[{\"type\":\"Healthy\",\"status\":\"%s\",", name,
               why == NULL ? "True" : "False");
    buf_printf(out, "\"%s\":\"%s\"}]}", why == NULL ? "message" : "error", why == NULL ? "ok" : why);
}

static void put_row(struct buf *out, const struct rest_call *c, const char *name, const char *why)
{
    buf_printf(out, "{\"cells\":[\"%s\",\"%s\",\"%s\",\"%s\"],\"object\":", name, why == NULL ? "Healthy" : "Unhealthy",
               why == NULL ? "ok" : "", why == NULL ? "" : why);
    if (c->view.include == REST_INCLUDE_OBJECT) {
        put_one(out, name, why, true);
    } else if (c->view.include == REST_INCLUDE_METADATA) {
        buf_printf(
            out,
            "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":{\"name\":\"%s\"}}",
            c->view.form.version, name);
    } else {
        buf_puts(out, "null");
    }
    buf_putc(out, '}');
}

static void put_table_head(struct buf *out, const struct rest_call *c)
{
    static const char *const columns[][2] = {
        {"Name", "name"},
        {"Status", ""},
        {"Message", ""},
        {"Error", ""},
    };
    buf_printf(out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":{},\"columnDefinitions\":[",
               c->view.form.version);
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        buf_printf(out, "%s{\"name\":\"%s\",\"type\":\"string\",\"format\":\"%s\",\"description\":\"\",\"priority\":0}",
                   i > 0 ? "," : "", columns[i][0], columns[i][1]);
    }
    buf_puts(out, "],\"rows\":[");
}

void rest_tell_components(struct rest_call *c)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    bool table = c->view.form.type == REST_FORM_TABLE, one = c->path.name.n > 0;
    const char *why = why_unwell(c->e.api.m);
    unsigned told = 0;
    if (c->o.watch || c->path.watch) {
        rest_answer_failure(c, 405,
                            "the server does not allow this method on the requested resource: "
                            "componentstatuses are not watched");
        return;
    }
    if (table) {
        put_table_head(&body, c);
    } else if (!one) {
        buf_puts(&body, "{\"kind\":\"ComponentStatusList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[");
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (one && !str_is(c->path.name, names[i])) {
            continue;
        }
        buf_puts(&body, told++ > 0 ? "," : "");
        if (table) {
            put_row(&body, c, names[i], why);
        } else {
            put_one(&body, names[i], why, one);
        }
    }
    if (told == 0) {
        rest_answer_failure(c, 404, "componentstatuses \"%.*s\" not found", STR_ARG(c->path.name));
        return;
    }
    buf_puts(&body, table || !one ? "]}" : "");
    c->warnings = value_list(&c->own);
    value_append(&c->own, c->warnings, value_cstr(&c->own, DEPRECATED));
    rest_answer(c, 200, NULL, &body);
}
