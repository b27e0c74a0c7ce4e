/* metrics.text: what /metrics answers over HTTPS, for who has no HTTP. It needs the same right. */
#include "master/front/call.h"
#include "master/rest/rest.h"

static void method_metrics_text(struct call *c)
{
    CLEANUP_BUF struct buf text = BUF_INIT, b = BUF_INIT;
    rest_write_metrics(c->m, &text);
    mp_write_map(&b, 1);
    mp_write_key_str(&b, "text", buf_str(&text));
    call_reply(c, &b);
}

const struct method request_metrics_text = {"metrics.text", method_metrics_text, METHOD_KNOWN, ""};
