package process

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"collector/pkg/component"

	"github.com/jmespath-community/go-jmespath"
	"github.com/oschwald/geoip2-golang"
	"github.com/oschwald/maxminddb-golang"
)

// GeoIPConfig is the block stage.geoip.
type GeoIPConfig struct {
	DB            string            `alloy:"db,attr"`
	Source        *string           `alloy:"source,attr"`
	DBType        string            `alloy:"db_type,attr,optional"`
	CustomLookups map[string]string `alloy:"custom_lookups,attr,optional"`
}

// Validate reports settings that can't work.
func (c *GeoIPConfig) Validate() error {
	switch {
	case c.DB == "":
		return component.At("db", errors.New("it must not be empty"))
	case c.Source == nil || *c.Source == "":
		return component.At("source", errors.New("it must not be empty"))
	case c.DBType == "" && c.CustomLookups == nil:
		return errors.New("one of db_type and custom_lookups is needed")
	case !slices.Contains([]string{"", "asn", "city", "country"}, c.DBType):
		return component.At("db_type", fmt.Errorf("%q must be one of asn, city, country", c.DBType))
	}
	_, err := newLookups(c.CustomLookups)
	return err
}

// geoIP extracts what a database of MaxMind's format knows of an address. The
// database is read whole, so that replacing the file does no harm.
type geoIP struct {
	source  string
	kind    string
	db      *maxminddb.Reader
	lookups []lookup
}

// lookup is a JMESPath expression over a record.
type lookup struct {
	name       string
	expression jmespath.JMESPath
}

func newLookups(custom map[string]string) (out []lookup, err error) {
	for name, text := range custom {
		if text == "" {
			text = name
		}
		l := lookup{name: name}
		if l.expression, err = compileJMESPath(text); err != nil {
			return nil, component.At("custom_lookups", fmt.Errorf("%q of %q: %w", text, name, err))
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b lookup) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return out, nil
}

func newGeoIP(c GeoIPConfig, v *env) (Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &geoIP{source: *c.Source, kind: c.DBType}
	var err error
	if s.lookups, err = newLookups(c.CustomLookups); err != nil {
		return nil, err
	}
	s.db, err = v.database(c.DB)
	return s, err
}

func (s *geoIP) Process(e *Entry, emit Emit) {
	if text, ok := e.Extracted.Text(s.source); ok {
		if ip := net.ParseIP(text); ip != nil {
			s.look(e, ip)
		}
	}
	emit(e)
}

func (s *geoIP) look(e *Entry, ip net.IP) {
	set := func(name, value string) {
		if value != "" {
			e.Extracted.Set("geoip_"+name, Text(value))
		}
	}
	var err error
	switch s.kind {
	case "city":
		var r geoip2.City
		if err = s.db.Lookup(ip, &r); err == nil {
			setCity(e, &r, set)
		}
	case "country":
		var r geoip2.Country
		if err = s.db.Lookup(ip, &r); err == nil {
			set("country_name", r.Country.Names["en"])
			set("country_code", r.Country.IsoCode)
			set("continent_name", r.Continent.Names["en"])
			set("continent_code", r.Continent.Code)
		}
	case "asn":
		var r geoip2.ASN
		if err = s.db.Lookup(ip, &r); err == nil {
			if r.AutonomousSystemNumber != 0 {
				e.Extracted.Set("geoip_autonomous_system_number", Number(float64(r.AutonomousSystemNumber)))
			}
			set("autonomous_system_organization", r.AutonomousSystemOrganization)
		}
	}
	if err == nil {
		s.custom(e, ip)
	}
}

func setCity(e *Entry, r *geoip2.City, set func(name, value string)) {
	set("city_name", r.City.Names["en"])
	set("country_name", r.Country.Names["en"])
	set("country_code", r.Country.IsoCode)
	set("continent_name", r.Continent.Names["en"])
	set("continent_code", r.Continent.Code)
	set("postal_code", r.Postal.Code)
	set("timezone", r.Location.TimeZone)
	if at := r.Location; at.Latitude != 0 || at.Longitude != 0 {
		e.Extracted.Set("geoip_location_latitude", Number(at.Latitude))
		e.Extracted.Set("geoip_location_longitude", Number(at.Longitude))
	}
	if n := len(r.Subdivisions); n > 0 {
		set("subdivision_name", r.Subdivisions[n-1].Names["en"])
		set("subdivision_code", r.Subdivisions[n-1].IsoCode)
	}
}

// custom extracts what expressions find in the record.
func (s *geoIP) custom(e *Entry, ip net.IP) {
	if len(s.lookups) == 0 {
		return
	}
	var record any
	if s.db.Lookup(ip, &record) != nil {
		return
	}
	for _, l := range s.lookups {
		if v, ok := searchRecord(l.expression, record); ok {
			e.Extracted.Set(l.name, v)
		}
	}
}

// searchRecord evaluates an expression. It fails where it finds nothing.
func searchRecord(expression jmespath.JMESPath, record any) (v Value, ok bool) {
	defer func() {
		if recover() != nil { // the library panics on some types
			ok = false
		}
	}()
	found, err := expression.Search(record)
	if err != nil || found == nil {
		return v, false
	}
	switch found := found.(type) {
	case string:
		return Text(found), true
	case bool:
		return Bool(found), true
	case float64:
		return Number(found), true
	case float32:
		return Number(float64(found)), true
	case int:
		return Number(float64(found)), true
	case int32:
		return Number(float64(found)), true
	case uint16:
		return Number(float64(found)), true
	case uint32:
		return Number(float64(found)), true
	case uint64:
		return Number(float64(found)), true
	}
	return Null(), true
}
