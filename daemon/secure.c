// SPDX-License-Identifier: Apache-2.0
#include "daemon/secure.h"

#include "base/log.h"
#include "daemon/net/conn.h"
#include "tls/tls.h"

#include <errno.h>

enum { WARN_DAYS = 14 };

int secure_context_new(struct tls_context **ret, const struct config *config, char *why)
{
    const struct tls_config tls = {
            .role = TLS_SERVER,
            .min_version = config->tls_min_version == 2 ? TLS_1_3 : TLS_1_2,
            .demand = !config->tls_client_ca              ? TLS_PEER_ANY
                      : config_needs_certificates(config) ? TLS_PEER_REQUIRED
                                                          : TLS_PEER_OPTIONAL,
            .certificate = config->tls_certificate,
            .key = config->tls_key,
            .ca = config->tls_client_ca,
    };

    *ret = NULL;
    return config->tls_certificate ? tls_context_new(ret, &tls, why) : 0;
}

/* The end of the certificate is the end of all connections; so it is said before. */
static void warn_of_end(const struct tls_context *context, const struct config *config)
{
    int days = tls_context_days_left(context);

    if (days < WARN_DAYS)
        LOG_EVENT(LOG_WARNING, "certificate_ends", LOG_STR("certificate", config->tls_certificate),
                  LOG_NUM("days_left", days), LOG_STR("hint", "renew it, and reload"));
}

int secure_reload(struct secure *s, const struct config *config, char *why)
{
    struct tls_context *context;
    int r = secure_context_new(&context, config, why);

    if (r != 0)
        return r;
    if (context) {
        r = conn_set_use_tls(s->conns, context);
        if (r < 0) {
            tls_context_free(context);
            return r;
        }
        warn_of_end(context, config);
    }
    if (context || !s->context) {
        tls_context_free(s->context);
        s->context = context;
    }
    return 0;
}

int secure_init(struct secure *s, struct conn_set *conns, const struct config *config)
{
    char why[TLS_WHY_BYTES];
    int r;

    *s = (struct secure){.conns = conns};
    r = secure_reload(s, config, why);
    if (r > 0)
        LOG_EVENT(LOG_ERROR, "tls_unusable", LOG_STR("text", why));
    return r > 0 ? -EINVAL : r;
}

void secure_deinit(struct secure *s)
{
    s->context = tls_context_free(s->context);
}
