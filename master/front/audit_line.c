#include "master/front/audit_line.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/timefmt.h"
#include "master/auth/access.h"
#include "proto/text/text.h"

static void put(struct buf *b, const char *key, struct str text)
{
    buf_printf(b, ",\"%s\":", key);
    json_write_text(b, text);
}

static void put_time(struct buf *b, const char *key, int64_t wall_ms)
{
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339_ms(wall_ms, text); /* "...05.123Z": microseconds, as clients read them */
    buf_printf(b, ",\"%s\":\"%.*s000Z\"", key, (int)strlen(text) - 1, text);
}

static void put_user(struct buf *b, const char *key, const struct principal *p)
{
    struct access_who who;
    access_who(p, &who);
    buf_printf(b, ",\"%s\":{\"username\":", key);
    json_write_text(b, who.subject.user);
    if (p->as != NULL && p->as->uid[0] != '\0') {
        put(b, "uid", str_of(p->as->uid));
    }
    buf_puts(b, ",\"groups\":[");
    for (unsigned i = 0; i < who.subject.groups_count; i++) {
        buf_puts(b, i > 0 ? "," : "");
        json_write_text(b, who.subject.groups[i]);
    }
    buf_putc(b, ']');
    if (p->as != NULL && p->as->extra.size > 0) {
        struct mp extra = mp_of(p->as->extra.data, p->as->extra.size);
        buf_puts(b, ",\"extra\":");
        json_write_mp(b, &extra);
    }
    buf_putc(b, '}');
}

/* Where the connection comes from, without its port. */
static void put_source(struct buf *b, const struct errand *e)
{
    struct session *s = e->front->session(e);
    const char *addr = s == NULL || s->way == NULL ? "" : s->way->addr(s), *colon = strrchr(addr, ':');
    if (colon != NULL) {
        bool brackets = addr[0] == '[' && colon > addr + 1 && colon[-1] == ']';
        buf_puts(b, ",\"sourceIPs\":[");
        json_write_text(b, (struct str){addr + brackets, (size_t)(colon - addr) - 2u * brackets});
        buf_putc(b, ']');
    }
}

/* What was answered: as the front says, else as it would be over HTTP. */
static unsigned http_code(const struct errand *e, const struct audit_what *w)
{
    const struct audit_entry *t = e->audit;
    static const struct {
        int code;
        unsigned http;
    } rows[] = {{ERR_USAGE, 400},      {ERR_UNAUTHORIZED, 401},    {ERR_FORBIDDEN, 403},   {ERR_NOT_FOUND, 404},
                {ERR_EXISTS, 409},     {ERR_CONFLICT, 409},        {ERR_EXPIRED, 410},     {ERR_TOO_LARGE, 413},
                {ERR_INVALID, 422},    {ERR_LIMIT, 429},           {ERR_BUSY, 429},        {ERR_NO_QUORUM, 503},
                {ERR_NOT_LEADER, 503}, {ERR_UNKNOWN_OUTCOME, 504}, {ERR_TIMEOUT, 504},     {ERR_CLOSED, 503},
                {ERR_CANCELED, 503},   {ERR_PROTOCOL, 400},        {ERR_UNSUPPORTED, 501}, {ERR_NO_SPACE, 507}};
    if (e->answered != 0) {
        return e->answered;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].code == t->code) {
            return rows[i].http;
        }
    }
    return t->code != 0 ? 500 : str_is(w->verb, "create") ? 201 : 200;
}

static void put_object(struct buf *b, const struct audit_what *w)
{
    const struct {
        const char *key;
        struct str text;
    } members[] = {{"resource", w->resource}, {"namespace", w->ns},       {"name", w->name},
                   {"apiGroup", w->group},    {"apiVersion", w->version}, {"subresource", w->sub}};
    bool first = true;
    buf_puts(b, ",\"objectRef\":{");
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (members[i].text.n > 0) {
            buf_printf(b, "%s\"%s\":", first ? "" : ",", members[i].key);
            json_write_text(b, members[i].text);
            first = false;
        }
    }
    buf_putc(b, '}');
}

static void put_status(struct buf *b, const struct errand *e, const struct audit_what *w)
{
    const struct audit_entry *t = e->audit;
    buf_puts(b, ",\"responseStatus\":{\"metadata\":{}");
    if (t->code != 0) {
        put(b, "status", STR("Failure"));
        put(b, "reason", str_of(err_reason(t->code)));
        if (t->message != NULL) {
            put(b, "message", str_of(t->message));
        }
    }
    buf_printf(b, ",\"code\":%u}", http_code(e, w));
}

/* All but what is about one object. */
static void put_head(struct buf *b, const struct errand *e, enum audit_level level, struct str verb)
{
    const struct audit_entry *t = e->audit;
    buf_printf(b,
               "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/"
               "v1\",\"level\":\"%s\",\"auditID\":\"%s\",\"stage\":\"" AUDIT_STAGE "\",\"requestURI\":",
               audit_level_words[level], t->id);
    if (e->uri.n > 0) {
        json_write_text(b, e->uri);
    } else {
        CLEANUP_BUF struct buf uri = BUF_INIT;
        buf_printf(&uri, "/rpc/%.*s", STR_ARG(e->name));
        json_write_text(b, buf_str(&uri));
    }
    put(b, "verb", verb);
    put_user(b, "user", principal_asker(e->who));
    if (e->who->as != NULL) {
        put_user(b, "impersonatedUser", e->who);
    }
    put_source(b, e);
    if (e->agent.n > 0) {
        put(b, "userAgent", e->agent);
    }
}

/* The times, and the beginning of the annotations. */
static void put_tail(struct buf *b, const struct errand *e)
{
    const struct audit_entry *t = e->audit;
    put_time(b, "requestReceivedTimestamp", t->received_ms);
    put_time(b, "stageTimestamp", env_wall_ms(e->api.m->env));
    bool forbidden = t->code == ERR_FORBIDDEN || t->code == ERR_UNAUTHORIZED;
    buf_printf(b, ",\"annotations\":{\"authorization.k8s.io/decision\":\"%s\"", forbidden ? "forbid" : "allow");
}

/* What admission found out about this object. */
static void put_notes(struct buf *b, const struct errand *e, const struct audit_what *w)
{
    const struct value *notes = e->api.notes;
    for (unsigned i = 0; i < value_count(notes); i++) {
        const struct value *n = value_item(notes, i);
        struct str name = value_path_str(n, "name");
        if (str_eq(value_path_str(n, "resource"), w->resource) && str_eq(value_path_str(n, "namespace"), w->ns) &&
            (w->name.n == 0 || name.n == 0 || str_eq(name, w->name))) {
            buf_putc(b, ',');
            json_write_text(b, value_path_str(n, "key"));
            buf_putc(b, ':');
            json_write_text(b, value_path_str(n, "text"));
        }
    }
}

void audit_line_write(struct buf *b, const struct errand *e, const struct audit_item *item)
{
    const struct audit_what *w = &item->what;
    put_head(b, e, item->level, w->verb);
    if (w->resource.n > 0) {
        put_object(b, w);
    }
    put_status(b, e, w);
    if (item->request.n > 0) {
        buf_printf(b, ",\"requestObject\":%.*s", STR_ARG(item->request));
    }
    if (item->response.n > 0) {
        buf_printf(b, ",\"responseObject\":%.*s", STR_ARG(item->response));
    }
    put_tail(b, e);
    put_notes(b, e, w);
    buf_puts(b, item->cut ? ",\"audit.k8s.io/truncated\":\"true\"}}\n" : "}}\n");
}

/* "get pods/log shop/web-1" */
static void name_object(struct buf *b, const struct audit_what *w)
{
    buf_printf(b, "%s%.*s %.*s%s%.*s%s%.*s %.*s%s%.*s", b->size > 0 ? ", " : "", STR_ARG(w->verb), STR_ARG(w->resource),
               w->group.n > 0 ? "." : "", STR_ARG(w->group), w->sub.n > 0 ? "/" : "", STR_ARG(w->sub), STR_ARG(w->ns),
               w->ns.n > 0 ? "/" : "", STR_ARG(w->name));
}

unsigned audit_line_write_more(struct buf *b, const struct errand *e, unsigned from)
{
    const struct audit_entry *t = e->audit;
    CLEANUP_BUF struct buf names = BUF_INIT;
    unsigned i = from, first = t->count;
    for (; i < t->count && names.size < AUDIT_MORE_BYTES; i++) {
        if (!t->items[i].told) {
            first = MIN(first, i);
            name_object(&names, &t->items[i].what);
        }
    }
    if (first < t->count) {
        put_head(b, e, AUDIT_METADATA, t->items[first].what.verb);
        put_status(b, e, &t->items[first].what);
        put_tail(b, e);
        buf_puts(b, ",\"reeve.io/more-objects\":");
        json_write_text(b, buf_str(&names));
        buf_puts(b, "}}\n");
    }
    return i;
}
