package logs

import (
	"collector/pkg/component"
	"collector/pkg/logs/echo"
	"collector/pkg/logs/enrich"
	"collector/pkg/logs/process"
	"collector/pkg/logs/relabel"
	"collector/pkg/logs/secretfilter"
	"collector/pkg/logs/source/api"
	"collector/pkg/logs/source/docker"
	"collector/pkg/logs/source/file"
	"collector/pkg/logs/source/journal"
	"collector/pkg/logs/source/syslog"
	"collector/pkg/logs/source/windowsevent"
	"collector/pkg/logs/write"
)

// Components lists the components of log entries.
func Components() []component.Definition {
	return []component.Definition{
		echo.Definition(),
		enrich.Definition(),
		process.Definition(),
		relabel.Definition(),
		secretfilter.Definition(),
		api.Definition(),
		docker.Definition(),
		file.Definition(),
		journal.Definition(),
		syslog.Definition(),
		windowsevent.Definition(),
		write.Definition(),
	}
}
