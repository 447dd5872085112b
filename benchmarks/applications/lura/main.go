// The engine of KrakenD, Lura, as its documentation starts it: `lura CONFIGURATION PORT`.
//
// The router is Lura's default for the community edition of KrakenD, gin, without its log of requests.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/gin-gonic/gin"
	"github.com/luraproject/lura/v2/config"
	"github.com/luraproject/lura/v2/logging"
	"github.com/luraproject/lura/v2/proxy"
	luragin "github.com/luraproject/lura/v2/router/gin"
	"github.com/luraproject/lura/v2/transport/http/client"
	"github.com/luraproject/lura/v2/transport/http/server"
)

func main() {
	gin.SetMode(gin.ReleaseMode)
	parsed, err := config.NewParser().Parse(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if parsed.Port, err = strconv.Atoi(os.Args[2]); err != nil {
		log.Fatal(err)
	}
	logger, err := logging.NewLogger("ERROR", io.Discard, "")
	if err != nil {
		log.Fatal(err)
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	factory := luragin.NewFactory(luragin.Config{
		Engine:         gin.New(),
		ProxyFactory:   proxy.NewDefaultFactory(proxy.CustomHTTPProxyFactory(client.NewHTTPClient), logger),
		Middlewares:    []gin.HandlerFunc{},
		Logger:         logger,
		HandlerFactory: luragin.EndpointHandler,
		RunServer:      server.RunServer,
	})
	factory.NewWithContext(stopped).Run(parsed)
}
