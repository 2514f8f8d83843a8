module gopkg.in/alecthomas/kingpin.v2

go 1.26
