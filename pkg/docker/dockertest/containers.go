package dockertest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// event is an entry of the event stream.
type event struct {
	kind, action, id string
	attributes       map[string]string
	time             time.Time
}

func id(seed string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(seed))) }

// Create makes a container without starting it, and returns its ID.
func (d *Daemon) Create(c Container) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	if c.Name == "" {
		c.Name = "container-" + strconv.Itoa(d.next)
	}
	if c.ID == "" {
		c.ID = id(c.Name + strconv.Itoa(d.next))
	}
	if c.LogDriver == "" {
		c.LogDriver = "json-file"
	}
	if c.NetworkMode == "" {
		c.NetworkMode = "default"
	}
	if c.Networks == nil {
		c.Networks = d.defaultNetworks(c.NetworkMode)
	}
	for name := range c.Networks {
		if _, ok := d.networks[name]; !ok {
			d.networks[name] = Network{ID: id("network " + name), Name: name, Scope: "local"}
		}
	}
	d.containers[c.ID] = &state{Container: c, status: "created", created: time.Now(), changed: make(chan struct{})}
	d.emit("container", "create", c.ID, nil)
	return c.ID
}

func (d *Daemon) defaultNetworks(mode string) map[string]string {
	switch {
	case mode == "host" || mode == "none":
		return map[string]string{mode: ""}
	case strings.HasPrefix(mode, "container:"):
		return map[string]string{}
	case mode == "default":
		mode = "bridge"
	}
	return map[string]string{mode: fmt.Sprintf("172.17.%d.%d", d.next/250, d.next%250+2)}
}

// Run makes a container and starts it.
func (d *Daemon) Run(c Container) string {
	containerID := d.Create(c)
	d.Start(containerID)
	return containerID
}

// AddNetwork makes or replaces a network.
func (d *Daemon) AddNetwork(n Network) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n.ID == "" {
		n.ID = id("network " + n.Name)
	}
	if n.Scope == "" {
		n.Scope = "local"
	}
	d.networks[n.Name] = n
	d.emit("network", "create", n.ID, map[string]string{"name": n.Name})
}

// Start starts a container.
func (d *Daemon) Start(containerID string) {
	d.change(containerID, func(s *state) {
		s.status, s.started = "running", time.Now()
		d.emit("container", "start", containerID, nil)
	})
}

// Pause pauses a container.
func (d *Daemon) Pause(containerID string) {
	d.change(containerID, func(s *state) {
		s.status = "paused"
		d.emit("container", "pause", containerID, nil)
	})
}

// Unpause ends Pause.
func (d *Daemon) Unpause(containerID string) {
	d.change(containerID, func(s *state) {
		s.status = "running"
		d.emit("container", "unpause", containerID, nil)
	})
}

// Stop stops a container, and removes it if it was created with AutoRemove. What follows
// its log ends when everything is read.
func (d *Daemon) Stop(containerID string) { d.Exit(containerID, 0) }

// Exit is Stop of a container whose program exits with a code.
func (d *Daemon) Exit(containerID string, code int) {
	remove := false
	d.change(containerID, func(s *state) {
		s.status, s.finished, s.exitCode = "exited", time.Now(), code
		remove = s.AutoRemove
		d.emit("container", "die", containerID, map[string]string{"exitCode": strconv.Itoa(code)})
	})
	if remove {
		d.Remove(containerID)
	}
}

// RestartContainer stops and starts a container.
func (d *Daemon) RestartContainer(containerID string) {
	d.Stop(containerID)
	d.Start(containerID)
}

// Remove removes a container. What has opened its log can read it to its end.
func (d *Daemon) Remove(containerID string) {
	d.change(containerID, func(s *state) {
		s.removed = true
		d.emit("container", "destroy", containerID, nil)
		delete(d.containers, containerID)
	})
}

// Rename gives a container another name.
func (d *Daemon) Rename(containerID, name string) {
	d.change(containerID, func(s *state) {
		old := s.Name
		s.Name = name
		d.emit("container", "rename", containerID, map[string]string{"oldName": "/" + old})
	})
}

// Connect gives a container an address on a network, which is made if need be.
func (d *Daemon) Connect(containerID, network, ip string) {
	d.change(containerID, func(s *state) {
		if _, ok := d.networks[network]; !ok {
			d.networks[network] = Network{ID: id("network " + network), Name: network, Scope: "local"}
		}
		s.Networks = maps.Clone(s.Networks)
		s.Networks[network] = ip
		d.emit("network", "connect", d.networks[network].ID, map[string]string{"container": containerID, "name": network})
	})
}

// Log appends messages to a container's log. Time is now when it is zero.
func (d *Daemon) Log(containerID string, entries ...Entry) {
	d.change(containerID, func(s *state) {
		for _, e := range entries {
			if e.Stream == "" {
				e.Stream = "stdout"
			}
			if e.Time.IsZero() {
				e.Time = time.Now()
			}
			s.log = append(s.log, e)
		}
	})
}

// Print appends output as the Engine stores it: one message for each line, the
// long ones in pieces of 16 KiB that share the time of the first, and carriage
// returns before the line ends of a TTY. Text after the last line end is a
// message without one.
func (d *Daemon) Print(containerID, stream, text string) {
	d.mu.Lock()
	tty := d.containers[containerID].TTY
	d.mu.Unlock()
	if tty {
		stream, text = "stdout", strings.ReplaceAll(text, "\n", "\r\n")
	}
	var entries []Entry
	for line := range strings.Lines(text) {
		now := time.Now()
		for len(strings.TrimSuffix(line, "\n")) >= pieceSize {
			entries = append(entries, Entry{Stream: stream, Time: now, Text: line[:pieceSize]})
			line = line[pieceSize:]
		}
		if line != "" {
			entries = append(entries, Entry{Stream: stream, Time: now, Text: line})
		}
	}
	d.Log(containerID, entries...)
}

// pieceSize is how much of a line the Engine puts in one message.
const pieceSize = 16 * 1024

func (d *Daemon) change(containerID string, f func(*state)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.containers[containerID]
	if s == nil {
		d.t.Errorf("dockertest: there is no container %q", containerID)
		return
	}
	f(s)
	close(s.changed)
	s.changed = make(chan struct{})
}

// emit sends an event with the attributes that the Engine adds. The caller
// holds mu.
func (d *Daemon) emit(kind, action, actorID string, extra map[string]string) {
	attributes := map[string]string{}
	if s := d.containers[actorID]; s != nil {
		maps.Copy(attributes, s.Labels)
		attributes["name"] = s.Name
		attributes["image"] = s.Image
	}
	maps.Copy(attributes, extra)
	d.send(event{kind, action, actorID, attributes, time.Now()})
}

// send gives an event to all subscribers, who have room for 1,024 of them: one
// that reads slower loses its stream, as with the real Engine.
func (d *Daemon) send(e event) {
	for c := range d.subscribers {
		select {
		case c <- e:
		default:
			delete(d.subscribers, c)
			close(c)
		}
	}
}
