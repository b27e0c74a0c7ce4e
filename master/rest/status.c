#include "master/rest/status.h"

#include "base/mem.h"
#include "proto/text/text.h"

static const struct {
    int code;
    unsigned http;
    const char *reason;
    bool again; /* nothing was done, and asking again is worth it */
} rows[] = {
    {ERR_INVALID, 422, "Invalid", false},
    {ERR_NOT_FOUND, 404, "NotFound", false},
    {ERR_EXISTS, 409, "AlreadyExists", false},
    {ERR_CONFLICT, 409, "Conflict", false},
    {ERR_FORBIDDEN, 403, "Forbidden", false},
    {ERR_UNAUTHORIZED, 401, "Unauthorized", false},
    {ERR_TOO_LARGE, 413, "RequestEntityTooLarge", false},
    {ERR_LIMIT, 429, "TooManyRequests", true},
    {ERR_NO_QUORUM, 503, "ServiceUnavailable", true},
    {ERR_NOT_LEADER, 503, "ServiceUnavailable", true},
    {ERR_UNKNOWN_OUTCOME, 504, "Timeout", false},
    {ERR_EXPIRED, 410, "Expired", false},
    {ERR_USAGE, 400, "BadRequest", false},
    {ERR_CORRUPT, 500, "InternalError", false},
    {ERR_IO, 500, "InternalError", false},
    {ERR_NO_SPACE, 507, "InsufficientStorage", false},
    {ERR_TIMEOUT, 504, "Timeout", true},
    {ERR_CLOSED, 503, "ServiceUnavailable", true},
    {ERR_CANCELED, 503, "ServiceUnavailable", true},
    {ERR_PROTOCOL, 400, "BadRequest", false},
    {ERR_UNSUPPORTED, 501, "NotImplemented", false},
    {ERR_SYSTEM, 500, "InternalError", false},
    {ERR_BUSY, 429, "TooManyRequests", true},
    {ERR_INTERNAL, 500, "InternalError", false},
};

/* A budget forbids an eviction: that the client waits and asks again is for it to decide. */
static bool is_budget(const struct error *err)
{
    struct error_cause_text cause;
    return error_cause(err, 0, &cause) && cause.reason == ERROR_CAUSE_DISRUPTION_BUDGET;
}

struct rest_status rest_status_of(const struct error *err)
{
    struct rest_status s = {500, "InternalError", 0};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].code == err->code) {
            unsigned after = err->retry_after_ms <= 1000 ? 1 : ((unsigned)err->retry_after_ms + 999) / 1000;
            s = (struct rest_status){rows[i].http, rows[i].reason, rows[i].again && !is_budget(err) ? after : 0};
        }
    }
    return s;
}

static void put_text(struct buf *out, const char *key, struct str text, bool *first)
{
    if (text.n > 0) {
        buf_printf(out, "%s\"%s\":", *first ? "" : ",", key);
        json_write_text(out, text);
        *first = false;
    }
}

/* In the message "conflicts with X:" stands once for all its fields. */
static void put_message(struct buf *out, const struct error_cause_text *cause, bool *first)
{
    if (cause->reason != ERROR_CAUSE_FIELD_MANAGER) {
        put_text(out, "message", cause->text, first);
        return;
    }
    CLEANUP_BUF struct buf text = BUF_INIT;
    buf_printf(&text, "conflict %.*s", STR_ARG(cause->text));
    put_text(out, "message", buf_str(&text), first);
}

static void put_causes(struct buf *out, const struct error *err, bool *first)
{
    struct error_cause_text cause;
    for (unsigned i = 0; error_cause(err, i, &cause); i++) {
        buf_puts(out, i > 0 ? "," : *first ? "\"causes\":[" : ",\"causes\":[");
        bool first_member = true;
        buf_putc(out, '{');
        put_text(out, "reason", str_of(error_cause_word(cause.reason)), &first_member);
        put_message(out, &cause, &first_member);
        put_text(out, "field", cause.field, &first_member);
        buf_putc(out, '}');
    }
    if (error_cause(err, 0, &cause)) {
        buf_putc(out, ']');
        *first = false;
    }
}

static void put_head(struct buf *out, struct str token, struct str message, const char *reason)
{
    bool first = true, first_of_metadata = true;
    buf_puts(out, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{");
    put_text(out, "continue", token, &first_of_metadata);
    buf_puts(out, "},\"status\":\"Failure\",");
    put_text(out, "message", message, &first);
    put_text(out, "reason", str_of(reason), &first);
}

void rest_write_status(struct buf *out, const struct error *err)
{
    rest_write_expired(out, err, STR_NONE);
}

void rest_write_expired(struct buf *out, const struct error *err, struct str token)
{
    struct rest_status s = rest_status_of(err);
    struct str group, kind, name;
    bool first = true;
    CLEANUP_BUF struct buf message = BUF_INIT, details = BUF_INIT;
    buf_puts(&message, err->message);
    buf_puts(&message, token.n == 0 ? "" : ", or go on in the newest version with the continue token in this response");
    put_head(out, token, buf_str(&message), s.reason);
    if (error_about(err, &group, &kind, &name)) {
        put_text(&details, "name", name, &first);
        put_text(&details, "group", group, &first);
        put_text(&details, "kind", kind, &first);
    }
    put_causes(&details, err, &first);
    if (s.retry_after_s > 0) {
        buf_printf(&details, "%s\"retryAfterSeconds\":%u", first ? "" : ",", s.retry_after_s);
    }
    if (details.size > 0) {
        buf_puts(out, ",\"details\":{");
        buf_append_str(out, buf_str(&details));
        buf_putc(out, '}');
    }
    buf_printf(out, ",\"code\":%u}", s.code);
}

void rest_write_failure(struct buf *out, unsigned code, const char *reason, struct str message)
{
    put_head(out, STR_NONE, message, reason);
    buf_printf(out, ",\"code\":%u}", code);
}

const char *rest_reason_of(unsigned code)
{
    switch (code) {
    case 403:
        return "Forbidden";
    case 404:
        return "NotFound";
    case 405:
        return "MethodNotAllowed";
    case 406:
        return "NotAcceptable";
    case 413:
        return "RequestEntityTooLarge";
    case 415:
        return "UnsupportedMediaType";
    case 429:
        return "TooManyRequests";
    case 501:
    case 505:
        return "NotImplemented";
    case 503:
        return "ServiceUnavailable";
    default:
        return code < 500 ? "BadRequest" : "InternalError";
    }
}
