// The OpenTelemetry Collector with the few parts that the check collector.py needs.
//
// Usage: collector --config FILE, as the Collector's own program
//
// Receivers filelog and otlp, exporters otlp and otlphttp, and the extension file_storage are the Collector's own. The
// exporter `lines` is of this check: each request that the receiver takes is a line of OTLP's JSON in a file before it is
// answered.
package main

import (
	"context"
	"log"
	"os"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/filelogreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

type settings struct {
	Path string `mapstructure:"path"`
}

// appender writes whole lines; each pipeline has its own, and the kernel keeps lines of one write together.
type appender struct {
	path string
	once sync.Mutex
	file *os.File
}

func (a *appender) Start(context.Context, component.Host) (err error) {
	a.file, err = os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return err
}

func (a *appender) Shutdown(context.Context) error { return a.file.Close() }

func (a *appender) write(line []byte, err error) error {
	if err != nil {
		return err
	}
	a.once.Lock()
	defer a.once.Unlock()
	_, err = a.file.Write(append(line, '\n'))
	return err
}

func lines() exporter.Factory {
	logs := func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
		to := &appender{path: cfg.(*settings).Path}
		push := func(_ context.Context, data plog.Logs) error {
			return to.write((&plog.JSONMarshaler{}).MarshalLogs(data))
		}
		return exporterhelper.NewLogs(ctx, set, cfg, push,
			exporterhelper.WithStart(to.Start), exporterhelper.WithShutdown(to.Shutdown))
	}
	traces := func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
		to := &appender{path: cfg.(*settings).Path}
		push := func(_ context.Context, data ptrace.Traces) error {
			return to.write((&ptrace.JSONMarshaler{}).MarshalTraces(data))
		}
		return exporterhelper.NewTraces(ctx, set, cfg, push,
			exporterhelper.WithStart(to.Start), exporterhelper.WithShutdown(to.Shutdown))
	}
	return exporter.NewFactory(component.MustNewType("lines"), func() component.Config { return &settings{} },
		exporter.WithLogs(logs, component.StabilityLevelStable),
		exporter.WithTraces(traces, component.StabilityLevelStable))
}

func factories() (otelcol.Factories, error) {
	parts := otelcol.Factories{Telemetry: otelconftelemetry.NewFactory()}
	var err error
	if parts.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](
		filelogreceiver.NewFactory(), otlpreceiver.NewFactory()); err != nil {
		return parts, err
	}
	if parts.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](
		otlpexporter.NewFactory(), otlphttpexporter.NewFactory(), lines()); err != nil {
		return parts, err
	}
	parts.Extensions, err = otelcol.MakeFactoryMap[extension.Factory](filestorage.NewFactory())
	return parts, err
}

func main() {
	command := otelcol.NewCommand(otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "collector", Description: "the Collector of a check", Version: "0.149.0"},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()},
				DefaultScheme:     "file",
			},
		},
	})
	if err := command.Execute(); err != nil {
		log.Fatal(err)
	}
}
